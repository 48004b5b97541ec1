//! Where the state of a user's containers lies, if nobody says it.

use super::{STRANGER, UID, ordinary_user, private};
use crate::common::{Bundle, Command, case, host};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

/// The runtime, run by the user, without `--root`.
fn bare(b: &Bundle, environment: &[&str], args: &[&str]) -> Command {
    let uid = UID.to_string();
    let user = ["setpriv", "--reuid", &uid, "--regid", &uid, "--clear-groups", "--", "env", "-i", "PATH=/usr/bin:/bin"];
    let mut argv: Vec<String> = user.iter().chain(environment).map(|s| s.to_string()).collect();
    argv.push(b.runtime().path.display().to_string());
    argv.extend(args.iter().map(|s| s.to_string()));
    Command::new(argv)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn below_the_runtime_directory() {
    case(|b| {
        ordinary_user(b).args(&["/bin/true"]).write_config();
        let xdg = b.path("run-4711");
        let set = format!("XDG_RUNTIME_DIR={}", xdg.display());
        let bundle = b.bundle().display().to_string();
        bare(b, &[&set], &["create", "--bundle", &bundle, "c"]).output().ok();
        assert!(xdg.join("runc/c/state.json").exists());
        assert_eq!(mode(&xdg.join("runc")), 0o1700);
        // Whoever has changed it.
        fs::set_permissions(xdg.join("runc"), fs::Permissions::from_mode(0o755)).unwrap();
        bare(b, &[&set, "USER=root"], &["list", "-q"]).output().ok().says("c");
        assert_eq!(mode(&xdg.join("runc")), 0o1700);
        // Other users have others; root's is root's.
        bare(b, &[&format!("XDG_RUNTIME_DIR={}", b.path("run-4712").display())], &["list", "-q"]).output().code(1);
        let listed = b.bare(&["list", "-q"]).env("XDG_RUNTIME_DIR", &xdg).output().ok();
        assert!(!listed.out.lines().any(|l| l == "c"), "{listed}");
        bare(b, &[&set], &["delete", "c"]).output().ok();
    });
}

/// `podman unshare` and the like: uid 0, of a namespace.
#[test]
fn as_root_of_a_user_namespace() {
    case(|b| {
        ordinary_user(b);
        let xdg = b.path("run-4711");
        let set = format!("XDG_RUNTIME_DIR={}", xdg.display());
        let id = UID.to_string();
        let list = |user: &[&str]| {
            let mut argv = vec![
                "setpriv",
                "--reuid",
                &id,
                "--regid",
                &id,
                "--clear-groups",
                "unshare",
                "--user",
                "--map-root-user",
            ];
            argv.extend(["env", "-i", "PATH=/usr/bin:/bin", &set]);
            argv.extend(user);
            argv.extend([b.runtime().path.to_str().unwrap(), "list", "-q"]);
            Command::new(argv).output()
        };
        let theirs = xdg.join("runc");
        // Of the host's root there may be containers, which this one must not see.
        let other = list(&["USER=root"]);
        assert!(other.code == 0 || other.err.contains("permission denied"), "{other}");
        assert!(!theirs.exists());
        for user in [&["USER=ordinary"][..], &[]] {
            list(user).ok().says("");
            assert_eq!(mode(&theirs), 0o1700);
            fs::remove_dir(&theirs).unwrap();
        }
    });
}

#[test]
fn no_runtime_directory_or_not_ours() {
    case(|b| {
        ordinary_user(b).args(&["/bin/true"]).write_config();
        let bundle = b.bundle().display().to_string();
        let run = |environment: &[&str]| bare(b, environment, &["run", "--bundle", &bundle, "c"]).output().code(1);
        // /run/runc is root's, whether it is there or not.
        for unset in [&[][..], &["XDG_RUNTIME_DIR="]] {
            run(unset).err_has("/run/runc").err_has("permission denied");
        }
        let dir = |name: &str| (format!("XDG_RUNTIME_DIR={}", b.path(name).display()), b.path(name));
        let (set, of_root) = dir("of-root");
        fs::create_dir(&of_root).unwrap();
        run(&[&set]).err_has("the path in $XDG_RUNTIME_DIR must be writable by the user").err_has("permission denied");
        let (set, _) = dir("missing");
        run(&[&set]).err_has("the path in $XDG_RUNTIME_DIR must be writable by the user");
        let (set, file) = dir("file");
        fs::write(&file, "").unwrap();
        run(&[&set]).err_has("must be writable by the user").err_has("not a directory");

        // Everybody's directory, where another has been first.
        let (set, public) = dir("public");
        fs::create_dir(&public).unwrap();
        fs::set_permissions(&public, fs::Permissions::from_mode(0o1777)).unwrap();
        let trap = public.join("runc");
        private(&trap, STRANGER);
        fs::set_permissions(&trap, fs::Permissions::from_mode(0o777)).unwrap();
        run(&[&set]).err_has("you should check permission of the path in $XDG_RUNTIME_DIR");
        assert_eq!(fs::read_dir(&trap).unwrap().count(), 0);
        fs::remove_dir(&trap).unwrap();
        // A link to what is ours: its mode would be changed, and what we write be there.
        let ours = b.path("run-4711/ours");
        private(&ours, UID);
        symlink(&ours, &trap).unwrap();
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &trap,
            Some(STRANGER.into()),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        if host::read("/proc/sys/fs/protected_symlinks") == "1" {
            run(&[&set]).err_has("$XDG_RUNTIME_DIR").err_has("permission denied");
            assert_eq!(mode(&ours), 0o700);
        }
        // Our own link is our own business.
        fs::remove_file(&trap).unwrap();
        let (set, home) = dir("run-4711");
        symlink(&ours, home.join("runc")).unwrap();
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &home.join("runc"),
            Some(UID.into()),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        bare(b, &[&set], &["run", "--bundle", &bundle, "c"]).output().ok();
        assert_eq!((mode(&ours), fs::metadata(&ours).unwrap().uid()), (0o1700, UID));
        chown(&ours, Some(UID), Some(UID)).unwrap();
    });
}
