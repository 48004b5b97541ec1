//! The commands and the flags that the help texts name, with a flag's other name and whether it takes a value. The words around them
//! are each program's own.

use crate::common::{Command, Runtime};
use crate::known::Known;
use crate::observe::in_path;
use std::collections::{BTreeMap, BTreeSet};

/// What a help text says: each flag by its long name, and the commands.
struct Help {
    flags: BTreeMap<String, String>,
    commands: BTreeSet<String>,
}

pub fn compare(ours: &Runtime, other: &Runtime) -> Vec<String> {
    let mut known = Known::new(ours, other, "help");
    let mut wrong = Vec::new();
    let mut look = |case: String, our: &str, their: &str| {
        if our != their && !known.covers(&case, "flag", our, their) {
            wrong.push(format!("{case}\n  {our}\n  {} {their}", other.name));
        }
    };
    let (our, their) = (help(ours, None), help(other, None));
    let mut in_both = vec![None];
    for command in our.commands.union(&their.commands) {
        let told = |help: &Help| if help.commands.contains(command) { "a command" } else { "none" };
        look(format!("help/commands: {command}"), told(&our), told(&their));
        if our.commands.contains(command) && their.commands.contains(command) && command != "help" {
            in_both.push(Some(command.as_str()));
        }
    }
    for command in in_both {
        let (our, their) = (help(ours, command), help(other, command));
        for flag in our.flags.keys().chain(their.flags.keys()).collect::<BTreeSet<_>>() {
            let told = |help: &Help| help.flags.get(flag).map_or("none", String::as_str).to_owned();
            look(format!("help/{}: {flag}", command.unwrap_or("global")), &told(&our), &told(&their));
        }
    }
    wrong.extend(known.unseen().map(|entry| format!("listed, and does not differ from {}: {entry}", other.name)));
    wrong
}

fn help(runtime: &Runtime, command: Option<&str>) -> Help {
    let mut argv = vec![in_path(runtime).display().to_string()];
    argv.extend(command.map(str::to_owned));
    argv.push("--help".into());
    let text = Command::new(argv).output().ok().out;
    let mut help = Help { flags: BTreeMap::new(), commands: BTreeSet::new() };
    let mut section = "";
    for line in text.lines() {
        // Capitals: the help of runc's `update` has a line with a colon in the midst of its flags.
        let is_title = |title: &&str| !title.is_empty() && title.chars().all(|c| c.is_ascii_uppercase() || c == ' ');
        if let Some(title) = line.strip_suffix(':').filter(is_title) {
            section = title;
            continue;
        }
        // What stands before the explanation.
        let first = line.trim_start().split("  ").next().unwrap_or_default();
        match section {
            "COMMANDS" if !first.is_empty() => {
                let names = first.split([',', ' ']).filter(|name| name.len() > 1);
                help.commands.extend(names.map(str::to_owned));
            }
            "OPTIONS" | "FLAGS" | "GLOBAL OPTIONS" | "GLOBAL FLAGS" if first.starts_with('-') => {
                let mut names: Vec<&str> = first.split([',', ' ']).filter(|word| word.starts_with('-')).collect();
                let takes = first.split([',', ' ']).any(|word| !word.is_empty() && !word.starts_with('-'));
                // `--bundle` before `-b`.
                names.sort_by_key(|name| std::cmp::Reverse(name.len()));
                help.flags.insert(names[0].to_owned(), names.join(" ") + if takes { " VALUE" } else { "" });
            }
            _ => {}
        }
    }
    assert!(command.is_some() || !help.flags.is_empty(), "a help without flags: {text}");
    help
}
