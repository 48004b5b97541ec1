//! Carries out the plan of one mount. From the lookup of the target on there are only descriptors.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use dunnage::error::{Errno, Error, Result};
use dunnage::files;
use dunnage::launch::trees;
use dunnage::spec::mount_options::attr;
use dunnage::sys::loopdev::{self, LO_FLAGS_AUTOCLEAR, LO_FLAGS_DIRECT_IO, LO_FLAGS_READ_ONLY};
use dunnage::sys::mount::{MountAttr, mount_id, mount_setattr, move_mount, open_tree_clone};
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{SysconfVar, sysconf};

use super::options::{How, Image, Maps, Plan};
use super::{fuse, overlay};
use crate::proto::Mount;

/// What was mounted, to take it back.
#[derive(Debug, Default)]
pub struct Attached(Vec<OwnedFd>);

impl Attached {
    /// The last one first. Nobody has used them yet: with our descriptor the last hold on each goes.
    pub fn undo(&mut self) {
        while let Some(mount) = self.0.pop() {
            detach(&mount);
        }
    }
}

/// Where something is to be mounted.
pub struct Place<'a> {
    rootfs: &'a Path,
    target: &'a str,
    /// The directory, or the file, that will be covered.
    pub covered: OwnedFd,
}

impl Place<'_> {
    /// `target` in `rootfs`.
    pub fn of<'a>(rootfs: &'a Path, target: &'a str) -> Result<Place<'a>> {
        let covered = look_up(rootfs, target)?;
        Ok(Place { rootfs, target, covered })
    }

    /// What lies on top there now, which has to be another mount than before.
    pub fn top(&self) -> Result<OwnedFd> {
        let top = look_up(self.rootfs, self.target)?;
        // Before Linux 5.8 nothing tells.
        if mount_id(top.as_fd()).is_ok_and(|now| mount_id(self.covered.as_fd()) == Ok(now)) {
            return Err(Error::new(format!("nothing is mounted on {} after it was mounted", self.path().display())));
        }
        Ok(top)
    }

    /// For messages.
    pub fn path(&self) -> PathBuf {
        match self.target.trim_matches('/') {
            "" => self.rootfs.to_owned(),
            target => self.rootfs.join(target),
        }
    }

    /// Attaches a mount there.
    pub fn attach(&self, mount: &OwnedFd) -> Result<()> {
        move_mount(mount.as_fd(), self.covered.as_fd())
            .map_err(|e| Error::sys(format!("move_mount to {}", self.path().display()), e))
    }
}

/// The top of what is mounted on `rootfs`, and from there `target` as a process would see it whose root that is.
fn look_up(rootfs: &Path, target: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let root = files::open(rootfs, flags).map_err(|e| Error::sys(format!("open {}", rootfs.display()), e))?;
    if target.trim_matches('/').is_empty() {
        return Ok(root);
    }
    files::in_root(&root, target, OFlag::O_PATH)
        .map_err(|e| Error::sys(format!("open {target} in {}", rootfs.display()), e))
}

/// Mounts it.
pub fn attach(mount: &Mount, plan: &Plan, rootfs: &Path, done: &mut Attached) -> Result<()> {
    let place = Place::of(rootfs, &mount.target)?;
    let attached = match &plan.how {
        How::Remount => {
            remount(mount, plan, &place)?;
            return changes(&place.covered, plan);
        }
        How::Bind { recursive } => bind(mount, plan, *recursive, &place)?,
        How::Overlay => overlay::mount(mount, plan, &place)?,
        How::Filesystem { image } => filesystem(mount, plan, *image, &place)?,
        How::Helper { program, subtype } => {
            fuse::mount(program, subtype, &mount.source, &plan.data, &place.covered)?;
            place.top()?
        }
    };
    let mount = done.0.push_mut(attached);
    changes(mount, plan)
}

/// What follows the mount: it takes effect only on what is attached, as a shared parent makes it shared.
fn changes(mount: &OwnedFd, plan: &Plan) -> Result<()> {
    let (set, clear) = plan.recursive_attributes;
    if set | clear != 0 {
        let attr = MountAttr { set, clear, ..MountAttr::default() };
        mount_setattr(mount.as_fd(), true, &attr).map_err(|e| Error::sys("mount_setattr", e))?;
    }
    for flags in &plan.propagation {
        mount2("", mount, "", *flags, "").map_err(|e| Error::sys(format!("change the propagation ({flags:#x})"), e))?;
    }
    Ok(())
}

fn remount(mount: &Mount, plan: &Plan, place: &Place<'_>) -> Result<()> {
    let flags = plan.flags | libc::MS_REMOUNT;
    mount2(&mount.source, &place.covered, &mount.kind, flags, &data(&plan.data)?)
        .map_err(|e| Error::sys(format!("remount {}", place.path().display()), e))
}

fn bind(mount: &Mount, plan: &Plan, recursive: bool, place: &Place<'_>) -> Result<OwnedFd> {
    let source = mount.source.as_str();
    let found = files::open(source, OFlag::O_PATH).map_err(|e| Error::sys(format!("open {source}"), e))?;
    let tree = open_tree_clone(found.as_fd(), recursive).map_err(|e| Error::sys(format!("open_tree {source}"), e))?;
    if let Some(maps) = &plan.idmap {
        trees::map_ids(&tree, source, recursive, false, &user_namespace(maps)?)?;
    }
    if recursive && plan.propagation.is_empty() {
        // Of a peer, unmounting what is below it would unmount that of the source, too.
        let slave = MountAttr { propagation: libc::MS_SLAVE, ..MountAttr::default() };
        match mount_setattr(tree.as_fd(), true, &slave) {
            Ok(()) | Err(Errno::ENOSYS) => {}
            Err(e) => return Err(Error::sys(format!("mount_setattr {source}"), e)),
        }
    }
    let attr = attributes(plan.flags);
    let wanted = attr.set | attr.clear != 0;
    let late = match if wanted { mount_setattr(tree.as_fd(), false, &attr) } else { Ok(()) } {
        // Before Linux 5.12.
        Err(Errno::ENOSYS) => true,
        result => result.map(|()| false).map_err(|e| Error::sys(format!("mount_setattr {source}"), e))?,
    };
    place.attach(&tree)?;
    if late {
        remount_bind(&tree, plan.flags).inspect_err(|_| detach(&tree))?;
    }
    Ok(tree)
}

/// A remount sets all flags of a mount anew. Those that its source has it keeps: in a user namespace the kernel lets none of them
/// go (`EPERM`).
pub fn remount_bind(mount: &OwnedFd, flags: u64) -> Result<()> {
    let failed = |e| Error::sys("remount the bind mount", e);
    // ST_RDONLY and these are numbered as their MS_ are; ST_RELATIME is not.
    let same =
        libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_NOATIME | libc::MS_NODIRATIME;
    let now = fstatvfs(mount).map_err(failed)?.flags().bits();
    let relatime = if now & libc::ST_RELATIME != 0 { libc::MS_RELATIME } else { 0 };
    let kept = match flags & (libc::MS_NOATIME | libc::MS_STRICTATIME | libc::MS_RELATIME) {
        0 => now & same | relatime,
        _ => now & same & !libc::MS_NOATIME,
    };
    mount2("", mount, "", flags | kept | libc::MS_REMOUNT | libc::MS_BIND, "").map_err(failed)
}

/// MS_* of one mount as MOUNT_ATTR_*; those that a bind mount does not heed, as they are the file system's, are none.
pub fn attributes(flags: u64) -> MountAttr {
    let mut out = MountAttr::default();
    for (flag, set) in [
        (libc::MS_RDONLY, attr::RDONLY),
        (libc::MS_NOSUID, attr::NOSUID),
        (libc::MS_NODEV, attr::NODEV),
        (libc::MS_NOEXEC, attr::NOEXEC),
        (libc::MS_NODIRATIME, attr::NODIRATIME),
        (libc::MS_NOSYMFOLLOW, attr::NOSYMFOLLOW),
    ] {
        if flags & flag != 0 {
            out.set |= set;
        }
    }
    let atime = match flags {
        _ if flags & libc::MS_NOATIME != 0 => Some(attr::NOATIME),
        _ if flags & libc::MS_STRICTATIME != 0 => Some(attr::STRICTATIME),
        _ if flags & libc::MS_RELATIME != 0 => Some(attr::RELATIME),
        _ => None,
    };
    if let Some(value) = atime {
        out.set |= value;
        // One field, of which no part can change alone.
        out.clear |= attr::ATIME;
    }
    out
}

fn filesystem(mount: &Mount, plan: &Plan, image: Option<Image>, place: &Place<'_>) -> Result<OwnedFd> {
    // Kept until the mount holds the device: it forgets its file when nobody has it open.
    let device = image.map(|image| loop_device(&mount.source, image)).transpose()?;
    let source = device.as_ref().map_or(mount.source.as_str(), |(_, path)| path);
    mount2(source, &place.covered, &mount.kind, plan.flags, &data(&plan.data)?).map_err(|e| failed(mount, place, e))?;
    let top = place.top()?;
    let Some(maps) = &plan.idmap else { return Ok(top) };
    // The ids of what is attached cannot be changed.
    let tree = open_tree_clone(top.as_fd(), false);
    detach(&top);
    drop(top);
    let tree = tree.map_err(|e| Error::sys(format!("open_tree {}", place.path().display()), e))?;
    trees::map_ids(&tree, &mount.source, false, false, &user_namespace(maps)?)?;
    place.attach(&tree)?;
    Ok(tree)
}

/// What mount(2) said, in the words of who asked for it.
pub fn failed(mount: &Mount, place: &Place<'_>, errno: Errno) -> Error {
    let Mount { kind, source, .. } = mount;
    let error = Error::sys(format!("mount {kind} ({source}) on {}", place.path().display()), errno);
    match errno {
        Errno::ENODEV => error.hint(format!("this kernel has no file system {kind:?}")),
        Errno::EINVAL => error.hint("the kernel's log (dmesg) may say which option"),
        Errno::ENOTBLK => error.hint("an image in a file takes the option loop"),
        _ => error,
    }
}

/// A loop device for a file, and its path.
fn loop_device(image: &str, how: Image) -> Result<(File, String)> {
    const CONTROL: &str = "/dev/loop-control";
    let mode = if how.read_only { OFlag::O_RDONLY } else { OFlag::O_RDWR };
    let open = |path: &str, mode| files::open(path, mode).map_err(|e| Error::sys(format!("open {path}"), e));
    let backing = open(image, mode)?;
    let control = open(CONTROL, OFlag::O_RDWR)?;
    let mut flags = LO_FLAGS_AUTOCLEAR;
    if how.read_only {
        flags |= LO_FLAGS_READ_ONLY;
    }
    if how.direct_io {
        flags |= LO_FLAGS_DIRECT_IO;
    }
    // Others look for a free one at the same time.
    for _ in 0..100 {
        let number = loopdev::get_free(control.as_fd()).map_err(|e| Error::sys("ioctl LOOP_CTL_GET_FREE", e))?;
        let path = format!("/dev/loop{number}");
        let device = open(&path, mode)?;
        match loopdev::configure(&device, &backing, flags, image.as_bytes()) {
            Ok(()) => return Ok((File::from(device), path)),
            Err(Errno::EBUSY) => {}
            Err(e) => return Err(Error::sys(format!("ioctl LOOP_CONFIGURE {path} ({image})"), e)),
        }
    }
    Err(Error::new(format!("all loop devices that were free for {image} were taken by others")))
}

/// The user namespace with these maps; it lasts as long as the descriptor, or a mount that has them.
pub fn user_namespace(maps: &Maps) -> Result<File> {
    // The library knows such maps from config.json.
    trees::user_namespace(&maps.uids, &maps.gids).map_err(|e| {
        e.relocated(|field| ("option", if field.contains("gid") { "gidmap" } else { "uidmap" }.to_owned()))
    })
}

/// The options for the file system as mount(2) takes them.
///
/// # Errors
/// It takes one page, and would cut off the rest.
pub fn data(options: &[String]) -> Result<String> {
    let data = options.join(",");
    if data.len() < page_size() { Ok(data) } else { Err(Error::new("mount options is too long")) }
}

/// Of this kernel.
pub fn page_size() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

/// mount(2) on what a descriptor stands for, or on what was mounted there since.
pub fn mount2(source: &str, target: &OwnedFd, kind: &str, flags: u64, data: &str) -> std::result::Result<(), Errno> {
    let some = |text| Some(text).filter(|text: &&str| !text.is_empty());
    // c_ulong is narrower on machines with 32 bits; no flag is above them.
    let flags = MsFlags::from_bits_retain(libc::c_ulong::try_from(flags).map_err(|_| Errno::EINVAL)?);
    nix::mount::mount(some(source), proc_path(target).as_str(), some(kind), flags, some(data))
}

/// Takes a mount out of the tree that only we know of, and on which there is no other: umount2(2) would take that.
pub fn detach(mount: &OwnedFd) {
    umount2(OsStr::new(&proc_path(mount)), MntFlags::MNT_DETACH).ok();
}

fn proc_path(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}
