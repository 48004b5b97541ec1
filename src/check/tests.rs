use super::*;
use crate::spec::default;

/// What is found in a bundle with an empty root file system, but for what is in order.
fn complaints(change: impl FnOnce(&mut Spec)) -> Vec<(Verdict, &'static str, String, String)> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    std::fs::create_dir(dir.path().join("rootfs/bin")).unwrap();
    let program = dir.path().join("rootfs/bin/sh");
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut spec = default::spec(false);
    change(&mut spec);
    std::fs::write(dir.path().join("config.json"), default::to_json(&spec).unwrap()).unwrap();
    let found = bundle(dir.path(), Circumstances::default()).unwrap();
    found.into_iter().filter(|f| f.verdict != Verdict::Ok).map(|f| (f.verdict, f.subject, f.detail, f.field)).collect()
}

fn only(change: impl FnOnce(&mut Spec)) -> (Verdict, &'static str, String, String) {
    let found = complaints(change);
    assert_eq!(found.len(), 1, "{found:?}");
    found.into_iter().next().unwrap()
}

#[test]
fn the_default_bundle_can_run_here() {
    assert_eq!(complaints(|_| ()), []);
}

#[test]
fn a_bundle_is_told_all_its_faults() {
    let found = complaints(|spec| {
        spec.root.as_mut().unwrap().path = "missing".into();
        spec.process.as_mut().unwrap().cwd = "relative".into();
        spec.mounts[0].options = vec!["bind".into()];
        spec.mounts[0].source = "/nonexistent/source".into();
    });
    let fields: Vec<&str> = found.iter().map(|f| f.3.as_str()).collect();
    assert_eq!(fields, ["/process/cwd", "/root/path", "/mounts/0/source"]);
    assert!(found[1].2.starts_with("invalid rootfs: stat ") && found[1].2.ends_with("no such file or directory"));
}

#[test]
fn a_program_that_is_not_there_is_doubted() {
    let found = only(|spec| spec.process.as_mut().unwrap().args = vec!["nosuch".into()]);
    assert_eq!((found.0, found.1, found.3.as_str()), (Verdict::Warning, "program", "/process/args/0"));
    // A link is followed inside the root file system: /bin/sh of the host does not count.
    let found = complaints(|spec| spec.process.as_mut().unwrap().args = vec!["/../../../../bin/cat".into()]);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn hooks_have_to_be_there() {
    let found = complaints(|spec| {
        let hook = |path: &str| crate::spec::Hook { path: path.into(), ..Default::default() };
        let poststop = vec![hook("/nonexistent/hook"), hook("/etc/passwd"), hook("/bin/sh")];
        spec.hooks = Some(crate::spec::Hooks { poststop, ..Default::default() });
    });
    let details: Vec<&str> = found.iter().map(|f| f.2.as_str()).collect();
    assert_eq!(details, ["stat /nonexistent/hook: no such file or directory", "/etc/passwd is not executable"]);
}

#[test]
fn file_systems_and_sysctls_that_the_kernel_does_not_have() {
    let found = only(|spec| spec.mounts[4].kind = "nosuchfs".into());
    assert_eq!((found.1, found.3.as_str()), ("mounts", "/mounts/4/type"));
    let found = only(|spec| {
        spec.linux.as_mut().unwrap().sysctl.insert("net.nosuch.key".into(), "1".into());
    });
    assert_eq!((found.0, found.1), (Verdict::Warning, "sysctl"));
}

#[test]
fn namespaces_to_join_have_to_be_there() {
    let found = only(|spec| {
        let namespaces = &mut spec.linux.as_mut().unwrap().namespaces;
        namespaces.iter_mut().find(|n| n.kind == "network").unwrap().path = "/nonexistent/netns".into();
    });
    assert_eq!((found.0, found.1), (Verdict::Error, "namespaces"));
    assert_eq!(found.2, "stat /nonexistent/netns: no such file or directory");
}

#[test]
fn no_bundle() {
    let e = bundle(Path::new("/nonexistent"), Circumstances::default()).unwrap_err();
    assert_eq!(e.to_string(), "JSON specification file config.json not found");
}
