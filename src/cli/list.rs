//! `list`: the containers of a state root, as a table, as JSON, or their ids.

use std::io::Write;

use super::definition::shared::FORMAT;
use super::definition::{Definition, Flag, Takes};
use super::{Command, Global, Matches, print, root};
use crate::container::Container;
use crate::error::{Errno, Error, Result};
use crate::state::{self, Report};

/// The command.
pub static COMMAND: Definition = Definition {
    name: "list",
    about: "list the containers of the given root",
    usage: "",
    description: "\
Lists the containers whose state lies under `--root`. One whose state cannot be read is named on stderr and left out.",
    min: 0,
    max: Some(0),
    stops_at_first: false,
    flags: &[FORMAT, QUIET],
    read: |m| Command::List(ListArgs::read(m)),
};

const QUIET: Flag = Flag::new("quiet", Takes::Bool, "the ids alone, one a line").short('q');

/// `list`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListArgs {
    /// `--format`
    pub format: Option<String>,
    /// `--quiet`
    pub quiet: bool,
}

impl ListArgs {
    fn read(m: &Matches) -> ListArgs {
        ListArgs { format: m.text(&FORMAT), quiet: m.bool(&QUIET) }
    }
}

pub(super) fn run(global: &Global, args: &ListArgs) -> Result<u8> {
    let reports = reports(&root::find(global)?)?;
    let text = match (args.quiet, args.format.as_deref().unwrap_or("table")) {
        (true, _) => reports.iter().map(|r| format!("{}\n", r.id)).collect(),
        // Go's empty slice.
        (false, "json") if reports.is_empty() => "null\n".to_owned(),
        (false, "json") => {
            let json = serde_json::to_string(&reports).map_err(|e| Error::new(format!("list as JSON: {e}")))?;
            json + "\n"
        }
        (false, "table") => table(&reports),
        _ => return Err(Error::new("invalid format option")),
    };
    print(&text)?;
    Ok(0)
}

fn reports(root: &root::Root) -> Result<Vec<Report>> {
    let dir = match state::Root::open(&root.path) {
        Err(e) if e.errno() == Some(Errno::ENOENT) && !root.explicit => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut users = Users::default();
    let mut reports = Vec::new();
    for id in dir.ids()? {
        match report(&dir, &id, &mut users) {
            Ok(report) => reports.push(report),
            // One broken container must not hide the others; the words, and that it is no log record, are runc's.
            Err(e) => {
                std::io::stderr().write_all(format!("load container {id}: {e}\n").as_bytes()).ok();
            }
        }
    }
    Ok(reports)
}

fn report(root: &state::Root, id: &str, users: &mut Users) -> Result<Report> {
    let container = Container::load(root.container(id)?)?;
    let owner = users.name(container.dir.owner()?);
    let status = container.status()?;
    Ok(Report { owner, ..Report::new(container.state, status) })
}

/// Columns of at least 12, three blanks between them, the last one as it is: Go's tabwriter with runc's settings.
fn table(reports: &[Report]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = reports.iter().map(|r| {
        [r.id.clone(), r.pid.to_string(), r.status.to_owned(), r.bundle.clone(), r.created.clone(), r.owner.clone()]
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let mut widths = [12_usize; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().saturating_add(3));
        }
    }
    let mut text = String::new();
    for row in &rows {
        let [cells @ .., last] = row;
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}"));
        }
        text.push_str(last);
        text.push('\n');
    }
    text
}

/// Names of users, from /etc/passwd alone: a static program has no other source.
#[derive(Default)]
struct Users {
    passwd: Option<String>,
}

impl Users {
    /// `#1234` for one who has no name.
    fn name(&mut self, uid: u32) -> String {
        let passwd = self.passwd.get_or_insert_with(|| {
            String::from_utf8_lossy(&crate::files::read("/etc/passwd").unwrap_or_default()).into_owned()
        });
        name_in(passwd, uid).map_or_else(|| format!("#{uid}"), str::to_owned)
    }
}

fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(id: &str, bundle: &str) -> Report {
        Report {
            oci_version: "1.3.0",
            id: id.into(),
            pid: 7,
            status: "running",
            bundle: bundle.into(),
            rootfs: "/r".into(),
            created: "2026-11-21T06:10:46.5Z".into(),
            annotations: Default::default(),
            end: None,
            owner: "root".into(),
        }
    }

    #[test]
    fn columns_grow_with_what_they_hold() {
        let reports = [report("a", "/b"), report("exactly-nine-and-more", "/long/bundle")];
        assert_eq!(
            table(&reports),
            "ID                      PID         STATUS      BUNDLE         CREATED                  OWNER\n\
             a                       7           running     /b             2026-11-21T06:10:46.5Z   root\n\
             exactly-nine-and-more   7           running     /long/bundle   2026-11-21T06:10:46.5Z   root\n"
        );
        assert_eq!(table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    }

    #[test]
    fn names_of_users() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:5:5::/:\nme:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_in(passwd, 0), Some("root"));
        assert_eq!(name_in(passwd, 1000), Some("me"));
        assert_eq!((name_in(passwd, 5), name_in(passwd, 100)), (None, None));
        assert_eq!(Users { passwd: Some(passwd.into()) }.name(100), "#100");
    }
}
