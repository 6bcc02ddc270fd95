//! One control group per running program, so that its whole tree can be signalled, daemons that left its session
//! included. Empty groups are kept for the next program: making one costs more than starting from one.

use crate::sys::{self, Result};
use std::cell::Cell;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::io::{AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

/// Empty groups kept for reuse; as many programs as usually start at once.
const KEPT_EMPTY: usize = 8;
const DIRECTORY: i32 = libc::O_RDONLY | libc::O_DIRECTORY;

pub struct Cgroups {
    /// None where groups cannot be made (no cgroup2, no right): trees are then found by session and parent.
    base: Option<Base>,
    empty: Vec<Cgroup>,
    /// Their call is over, processes it left in the background are not.
    lingering: Vec<Cgroup>,
    made: u32,
    frozen: bool,
    /// Groups are somebody else's to keep or remove.
    is_lent: bool,
}

/// What groups are made in; open, since a guest's root may mount anything over the path.
struct Base {
    directory: OwnedFd,
    path: PathBuf,
}

pub struct Cgroup {
    directory: OwnedFd,
    name: String,
    path: PathBuf,
    /// Linux 6.14 and later kill what is born into a group that was ever killed: it is not used again.
    killed: Cell<bool>,
}

impl Cgroups {
    /// Groups are made below `base`, which is made, too.
    pub fn below(base: Option<PathBuf>) -> Self {
        Cgroups {
            base: base.and_then(Base::new),
            empty: Vec::new(),
            lingering: Vec::new(),
            made: 0,
            frozen: false,
            is_lent: false,
        }
    }

    pub fn acquire(&mut self) -> Option<Cgroup> {
        if let Some(group) = self.empty.pop() {
            return Some(group);
        }
        self.made = self.made.wrapping_add(1);
        let base = self.base.as_ref()?;
        let name = self.made.to_string();
        sys::mkdir_at(&base.directory, &name).ok()?;
        Some(Cgroup {
            directory: sys::open_at(&base.directory, &name, DIRECTORY).ok()?,
            path: base.path.join(&name),
            name,
            killed: Cell::new(false),
        })
    }

    /// For a copy of this process that runs one program: the group that the original gave it is the only one.
    pub fn lent(group: Option<&Cgroup>) -> Self {
        let mut groups = Cgroups::below(None);
        groups.empty.extend(group.and_then(|group| {
            Some(Cgroup {
                directory: sys::open(bytes(&group.path), DIRECTORY).ok()?,
                name: group.name.clone(),
                path: group.path.clone(),
                killed: Cell::new(false),
            })
        }));
        groups.is_lent = true;
        groups
    }

    /// Takes a group back; what still runs in it goes on.
    pub fn release(&mut self, group: Cgroup) {
        if self.is_lent {
            return;
        }
        if group.is_populated() {
            self.lingering.push(group);
        } else if self.empty.len() < KEPT_EMPTY && !group.killed.get() {
            self.empty.push(group);
        } else {
            self.remove(&group); // left over only if somebody moved in meanwhile
        }
    }

    /// To be called when a process has died that no call waited for.
    pub fn sweep(&mut self) {
        for group in std::mem::take(&mut self.lingering) {
            self.release(group);
        }
    }

    /// Stops all programs where they are until `thaw`; without groups they go on.
    pub fn freeze(&mut self) {
        self.frozen = self.write_freeze(b"1");
    }

    /// Repeatable.
    pub fn thaw(&mut self) {
        if self.frozen {
            self.write_freeze(b"0");
            self.frozen = false;
        }
    }

    fn write_freeze(&self, state: &[u8]) -> bool {
        let base = self.base.as_ref();
        base.map_or(false, |base| put(&base.directory, "cgroup.freeze", state).is_ok())
    }

    /// True once it is gone.
    fn remove(&self, group: &Cgroup) -> bool {
        let name = sys::c_string(group.name.as_bytes());
        match (&self.base, name) {
            (Some(base), Ok(name)) => sys::unlink_at(&base.directory, &name, true).is_ok(),
            _ => false,
        }
    }

    /// Kills what is left and removes all groups; for an agent that ends without its machine.
    pub fn remove_all(&mut self) {
        if self.is_lent {
            return;
        }
        let groups = self.empty.drain(..).chain(self.lingering.drain(..));
        for group in groups.collect::<Vec<_>>() {
            let _ = group.kill(); // an empty group has nothing to kill
            for _ in 0..1000 {
                if self.remove(&group) {
                    break;
                }
                sys::sleep_ms(10); // the killed are still on their way out
            }
        }
        if let Some(base) = &self.base {
            let _ = fs::remove_dir(&base.path); // another agent may use it
        }
    }
}

impl Base {
    fn new(path: PathBuf) -> Option<Self> {
        let _ = fs::create_dir(&path); // there already, mostly
        let directory = sys::open(bytes(&path), DIRECTORY).ok()?;
        Some(Base { directory, path })
    }
}

impl Cgroup {
    pub fn descriptor(&self) -> RawFd {
        self.directory.as_raw_fd()
    }

    /// Kills all members at once, those that are being forked, too.
    pub fn kill(&self) -> Result<()> {
        self.killed.set(true);
        put(&self.directory, "cgroup.kill", b"1")
    }

    /// It is not used again.
    pub fn retire(&self) {
        self.killed.set(true);
    }

    pub fn members(&self) -> Vec<i32> {
        let text = get(&self.directory, "cgroup.procs");
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn is_populated(&self) -> bool {
        get(&self.directory, "cgroup.events").contains("populated 1")
    }
}

/// Where an agent outside of a VM may make groups: below the cgroup2 mount, under a name of its own.
pub fn base_on_host() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts
        .lines()
        .find(|line| line.split(' ').nth(2) == Some("cgroup2"))?
        .split(' ')
        .nth(1)?;
    Some(Path::new(mount).join(format!("sandboxes-agent-{}", sys::process_id())))
}

fn put(directory: &OwnedFd, name: &str, content: &[u8]) -> Result<()> {
    sys::write(&sys::open_at(directory, name, libc::O_WRONLY)?, content).map(drop)
}

/// Empty for a group that is gone.
fn get(directory: &OwnedFd, name: &str) -> String {
    let mut text = String::new();
    if let Ok(file) = sys::open_at(directory, name, libc::O_RDONLY) {
        let _ = File::from(file).read_to_string(&mut text); // what came before a failure counts
    }
    text
}

fn bytes(path: &Path) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes()
}
