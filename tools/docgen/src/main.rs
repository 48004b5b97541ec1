//! `docgen man DIR` writes the man pages, `docgen completions DIR` the completions of bash, zsh and fish, both from the one
//! definition of the command line in `dunnage::cli`. A program of its own, so that the runtime does not carry it.
#![allow(clippy::disallowed_methods)] // Run by the builder, in a directory of its own.

use std::fs;
use std::io::{Error, Result};
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;

const PROGRAM: &str = "dunnage";

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next(), args.next()) {
        (Some("man"), Some(dir), None) => man(Path::new(&dir)),
        (Some("completions"), Some(dir), None) => completions(Path::new(&dir)),
        _ => Err(Error::other("usage: docgen man|completions DIR")),
    }
}

/// `dunnage.8`, and `dunnage-COMMAND.8` for each command. Section 8: for the administrator.
fn man(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).create(dir)?;
    let program = dunnage::cli::clap_command(PROGRAM);
    for command in program.get_subcommands() {
        let name = format!("{PROGRAM}-{}", command.get_name());
        page(command.clone().display_name(&name), &name, dir)?;
    }
    page(program, PROGRAM, dir)
}

fn page(command: clap::Command, name: &str, dir: &Path) -> Result<()> {
    let usage = command.clone().render_usage().to_string();
    let synopsis = usage.trim_start_matches("Usage:").trim().replace('-', "\\-");
    let man = Man::new(command).title(name.to_uppercase()).section("8").source("Dunnage").manual("Dunnage");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    // clap_mangen would make its own synopsis out of the flags; ours says which arguments a command takes.
    page.extend_from_slice(format!(".SH SYNOPSIS\n{synopsis}\n").as_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if name == PROGRAM {
        man.render_subcommands_section(&mut page)?;
    } else {
        page.extend_from_slice(b".SH \"SEE ALSO\"\n\\fBdunnage\\fR(8)\n");
    }
    fs::write(dir.join(format!("{name}.8")), page)
}

fn completions(dir: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).create(dir)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut dunnage::cli::clap_command(PROGRAM), PROGRAM, dir)?;
    }
    Ok(())
}
