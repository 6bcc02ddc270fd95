//! From the kernel's hand-over to a running root file system. The initramfs holds this binary as /init, and kernel
//! modules in /modules with their order in /modules/order.

use crate::frames::header;
use crate::port;
use crate::protocol::{frame, MAGIC};
use crate::sys::{self, Errno, Result};
use std::fs;

/// A disk or port that has not appeared by then does not come; drivers take milliseconds, a loaded host makes it seconds.
pub const DEVICE_WAIT_MS: u64 = 20_000;
/// A machine that cannot start ends soon, told or not.
const LAST_WORDS_WAIT_MS: u64 = 100;

/// The layer lives as long as its machine: nothing has to be on the disk in time, or in order. Empty tables of inodes
/// are not written, which would take space on the host for nothing.
const LAYER_OPTIONS: &str = "nobarrier,noauto_da_alloc,noinit_itable,errors=remount-ro";

/// Why a machine cannot start: the step, and the kernel's answer.
pub type Fault = (String, Errno);

/// Mounts everything and changes into the image's file system.
pub fn start() -> std::result::Result<(), Fault> {
    for folder in ["/proc", "/sys", "/dev", "/lower", "/upper", "/root"] {
        let _ = sys::mkdir(folder.as_bytes(), 0o755); // the initramfs may have it
    }
    mount(
        "proc",
        "/proc",
        "proc",
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
        "",
    )?;
    mount(
        "sysfs",
        "/sys",
        "sysfs",
        libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC,
        "",
    )?;
    mount("devtmpfs", "/dev", "devtmpfs", libc::MS_NOSUID, "mode=755")?;
    sys::fill_standard_streams();
    load_modules()?;
    mount_root()?;
    for folder in ["/proc", "/sys", "/dev"] {
        let target = format!("/root{}", folder);
        let _ = sys::mkdir(target.as_bytes(), 0o755); // images mostly have them
        step(
            &format!("move {}", folder),
            sys::mount(folder.as_bytes(), target.as_bytes(), b"", libc::MS_MOVE, b""),
        )?;
    }
    step("enter /root", sys::change_directory(b"/root"))?;
    step("move /root", sys::mount(b".", b"/", b"", libc::MS_MOVE, b""))?;
    step("change root", sys::change_root(b"."))?;
    step("enter /", sys::change_directory(b"/"))?;
    mount_the_rest();
    let _ = sys::loopback_up(); // a kernel without networking has no lo
    let _ = sys::set_hostname(b"sandbox");
    Ok(())
}

/// Tells the kernel's log and the host, and ends the machine.
pub fn give_up((what, error): &Fault) -> ! {
    let reason = format!("{}: {}", what, error);
    if let Ok(log) = sys::open(b"/dev/kmsg", libc::O_WRONLY | libc::O_NONBLOCK) {
        let _ = sys::write(&log, format!("agent: {}\n", reason).as_bytes());
    }
    let port = port::find_virtio(LAST_WORDS_WAIT_MS);
    if let Some(connection) = port.as_ref().ok().and_then(port::Port::connection) {
        let payload = [&MAGIC[..], reason.as_bytes()].concat();
        let _ = sys::write(
            connection,
            &[&header(0, frame::FATAL, payload.len())[..], &payload].concat(),
        );
        sys::sleep_ms(LAST_WORDS_WAIT_MS); // QEMU takes them from the queue before it hears of the end
    }
    sys::reboot()
}

fn step<T>(what: &str, result: Result<T>) -> std::result::Result<T, Fault> {
    result.map_err(|error| (what.to_string(), error))
}

fn mount(source: &str, target: &str, kind: &str, flags: u64, options: &str) -> std::result::Result<(), Fault> {
    let result = sys::mount(
        source.as_bytes(),
        target.as_bytes(),
        kind.as_bytes(),
        flags as _,
        options.as_bytes(),
    );
    step(&format!("mount {} on {}", kind, target), result)
}

/// Loads what /modules/order lists, in that order, and frees the memory of the files.
fn load_modules() -> std::result::Result<(), Fault> {
    let order = match fs::read_to_string("/modules/order") {
        Ok(order) => order,
        Err(_) => return Ok(()), // a kernel with everything built in
    };
    for name in order.split_whitespace() {
        let path = format!("/modules/{}", name);
        let file = step(&format!("open {}", path), sys::open(path.as_bytes(), libc::O_RDONLY))?;
        match sys::load_module(&file) {
            // Built in, loaded already, or a kernel without modules.
            Ok(()) | Err(Errno(libc::EEXIST)) | Err(Errno(libc::ENOSYS)) => {}
            Err(error) => return Err((format!("load {}", path), error)),
        }
    }
    let _ = fs::remove_dir_all("/modules"); // only memory is lost otherwise
    let _ = fs::remove_file("/init");
    Ok(())
}

/// The image, read-only, below a layer that takes all writes: on the second disk if the host gave one, else in memory.
fn mount_root() -> std::result::Result<(), Fault> {
    let image = wait_for_disk("root")?;
    mount(&image, "/lower", "squashfs", libc::MS_RDONLY, "")?;
    if parameter("sandboxes.layer").as_deref() == Some("disk") {
        let disk = wait_for_disk("layer")?;
        mount(&disk, "/upper", "ext4", libc::MS_NOATIME, LAYER_OPTIONS)?;
    } else {
        let options = format!("mode=755,size={}k", layer_kib());
        mount("tmpfs", "/upper", "tmpfs", 0, &options)?;
    }
    for folder in ["/upper/data", "/upper/work"] {
        step(folder, sys::mkdir(folder.as_bytes(), 0o755))?;
    }
    mount(
        "overlay",
        "/root",
        "overlay",
        0,
        "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work",
    )
}

/// The path of the disk that has this serial number, which is how the host names it.
fn wait_for_disk(serial: &str) -> std::result::Result<String, Fault> {
    for _ in 0..DEVICE_WAIT_MS {
        for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
            let found = fs::read_to_string(entry.path().join("serial")).unwrap_or_default();
            if found.trim_end() == serial {
                return Ok(format!("/dev/{}", entry.file_name().to_string_lossy()));
            }
        }
        sys::sleep_ms(1);
    }
    Err((format!("find the disk \"{}\"", serial), Errno(libc::ENXIO)))
}

/// The size of a layer in memory: `sandboxes.disk_mib` of the kernel command line, but never so much that filling it
/// would get programs killed for memory; "no space left" is the better answer.
fn layer_kib() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(256 * 1024);
    let cap = total / 4 * 3;
    match parameter("sandboxes.disk_mib").and_then(|mib| mib.parse::<u64>().ok()) {
        Some(mib) => cap.min(mib.saturating_mul(1024)).max(1024),
        None => cap,
    }
}

fn parameter(name: &str) -> Option<String> {
    let line = fs::read_to_string("/proc/cmdline").ok()?;
    let value = line
        .split_whitespace()
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
    Some(value.to_string())
}

/// What programs expect beside the root. Nothing here stops a machine: the calls that need it will say so.
fn mount_the_rest() {
    let quiet = libc::MS_NOSUID | libc::MS_NODEV;
    for (kind, target, flags, options) in [
        (
            "devpts",
            "/dev/pts",
            libc::MS_NOSUID | libc::MS_NOEXEC,
            "gid=5,mode=620,ptmxmode=666",
        ),
        ("tmpfs", "/dev/shm", quiet, "mode=1777"),
        ("tmpfs", "/run", quiet, "mode=755"),
        ("cgroup2", "/sys/fs/cgroup", quiet | libc::MS_NOEXEC, ""),
    ] {
        let _ = sys::mkdir(target.as_bytes(), 0o755);
        let _ = mount(kind, target, kind, flags, options);
    }
    if fs::create_dir("/tmp").is_ok() {
        use std::os::unix::fs::PermissionsExt;
        let _ = fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777));
    }
    for (target, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ] {
        let _ = std::os::unix::fs::symlink(target, link);
    }
}
