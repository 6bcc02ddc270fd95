//! Starting a program. The child shares this process's memory until it executes (CLONE_VM and CLONE_VFORK): nothing is
//! copied, and a failure is reported by writing it into a structure that the waiting parent reads. `clone3` puts the
//! child into its control group at birth, so nothing it does can come before.

use super::{Errno, Result};
use std::ffi::{CStr, CString};
use std::os::raw::c_char;
use std::os::unix::io::RawFd;

/// Everything about a program that its child needs, prepared beforehand: the child may not allocate.
pub struct Program<'a> {
    /// Full paths to try in turn, as the search path gives them.
    pub candidates: &'a [CString],
    pub argv: &'a [CString],
    pub env: &'a [CString],
    pub cwd: &'a CStr,
    /// None: stay who we are.
    pub user: Option<&'a Credentials>,
    /// Become standard input, output and error.
    pub streams: [RawFd; 3],
    /// The standard streams are a terminal that becomes the controlling one.
    pub terminal: bool,
    /// An open cgroup2 directory to be born into.
    pub cgroup: Option<RawFd>,
    /// Soft and hard limit of open files.
    pub open_files: Option<(u64, u64)>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Credentials {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// The step at which a child gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Prepare,
    User,
    Directory,
    Execute,
    /// The file is there, what it asks to be run with (`#!`, the dynamic loader) is not.
    Interpreter,
}

struct Child<'a> {
    program: &'a Program<'a>,
    argv: *const *const c_char,
    env: *const *const c_char,
    /// The child writes its own pid into the cgroup when it could not be born there.
    join: Option<RawFd>,
    failure: Option<(Step, Errno)>,
}

const STACK_BYTES: usize = 64 * 1024;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Starts the program in a session of its own; returns its pid once it executes.
pub fn spawn(program: &Program) -> std::result::Result<i32, (Step, Errno)> {
    let (argv, env) = (pointers(program.argv), pointers(program.env));
    let mut stack: Vec<u128> = vec![0; STACK_BYTES / 16];
    let mut child = Child {
        program,
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        join: None,
        failure: None,
    };
    let pid = match born_in_cgroup(&mut child, &mut stack) {
        Some(pid) => pid,
        None => {
            child.join = program.cgroup;
            born_plain(&mut child, &mut stack)
        }
    }
    .map_err(|error| (Step::Prepare, error))?;
    // SAFETY: the child has executed or ended by now; a volatile read since it wrote behind the compiler's back.
    match unsafe { std::ptr::addr_of!(child.failure).read_volatile() } {
        None => Ok(pid),
        Some(failure) => {
            // SAFETY: no pointers that matter; collects the child that has just ended.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            Err(failure)
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}

#[cfg(target_arch = "x86_64")]
fn born_in_cgroup(child: &mut Child, stack: &mut [u128]) -> Option<Result<i32>> {
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let cgroup = child.program.cgroup?;
    let arguments = Arguments {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        stack: stack.as_mut_ptr() as u64,
        stack_size: STACK_BYTES as u64,
        cgroup: cgroup as u64,
        ..Default::default()
    };
    let pid: i64;
    // SAFETY: parent: an ordinary system call. Child: runs `start` on a stack of its own and never returns from it;
    // the parent sleeps meanwhile, so what `start` reads stays in place. r12 and r13 survive the call.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => pid,
            in("rdi") &arguments,
            in("rsi") std::mem::size_of::<Arguments>(),
            in("r12") child as *mut Child,
            in("r13") start as extern "C" fn(*mut libc::c_void) -> i32,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // Kernels before 5.7, and seccomp filters of container engines, do not know clone3 or the flag.
    (pid > 0).then_some(Ok(pid as i32))
}

#[cfg(not(target_arch = "x86_64"))]
fn born_in_cgroup(_child: &mut Child, _stack: &mut [u128]) -> Option<Result<i32>> {
    None
}

fn born_plain(child: &mut Child, stack: &mut [u128]) -> Result<i32> {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from its end; the parent sleeps until the child has left our memory.
    super::check(unsafe {
        libc::clone(
            start,
            stack.as_mut_ptr_range().end.cast(),
            flags,
            (child as *mut Child).cast(),
        )
    })
}

/// Runs in the child. Only system calls from here on: memory is shared with the parent.
extern "C" fn start(argument: *mut libc::c_void) -> i32 {
    // SAFETY: the parent passes its Child and sleeps until this process executes or ends.
    unsafe {
        let child = argument.cast::<Child>();
        let failure = prepare(&*child);
        std::ptr::addr_of_mut!((*child).failure).write_volatile(Some(failure));
        libc::_exit(127)
    }
}

/// Returns only what went wrong.
unsafe fn prepare(child: &Child) -> (Step, Errno) {
    let program = child.program;
    // SAFETY: system calls on prepared, terminated strings and plain structures.
    unsafe {
        if let Some(group) = child.join {
            if let Err(error) = join(group) {
                return (Step::Prepare, error);
            }
        }
        libc::setsid();
        for (number, descriptor) in program.streams.iter().enumerate() {
            if libc::dup2(*descriptor, number as i32) < 0 {
                return (Step::Prepare, super::last());
            }
        }
        if program.terminal && libc::ioctl(0, libc::TIOCSCTTY as _, 0) < 0 {
            return (Step::Prepare, super::last());
        }
        if let Some((soft, hard)) = program.open_files {
            let limit = libc::rlimit {
                rlim_cur: soft,
                rlim_max: hard,
            };
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
        if let Some(user) = program.user {
            // Raw calls: libc's wrappers would tell threads of the shared memory that it thinks are its own.
            let (uid, gid) = (user.uid as libc::c_long, user.gid as libc::c_long);
            if libc::syscall(libc::SYS_setgroups, user.groups.len(), user.groups.as_ptr()) < 0
                || libc::syscall(libc::SYS_setresgid, gid, gid, gid) < 0
                || libc::syscall(libc::SYS_setresuid, uid, uid, uid) < 0
            {
                return (Step::User, super::last());
            }
        }
        if libc::chdir(program.cwd.as_ptr()) < 0 {
            return (Step::Directory, super::last());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
        execute(child)
    }
}

unsafe fn execute(child: &Child) -> (Step, Errno) {
    let mut failure = (Step::Execute, Errno(libc::ENOENT));
    for candidate in child.program.candidates {
        // SAFETY: terminated strings, and arrays of them that end in null.
        unsafe {
            libc::execve(candidate.as_ptr(), child.argv, child.env);
            match super::last() {
                Errno(libc::ENOENT) if libc::access(candidate.as_ptr(), libc::F_OK) == 0 => {
                    return (Step::Interpreter, Errno(libc::ENOENT))
                }
                Errno(libc::ENOENT) | Errno(libc::ENOTDIR) => {}
                // The search goes on, as a shell's would; if nothing else is found this is the answer.
                Errno(libc::EACCES) => failure.1 = Errno(libc::EACCES),
                error => return (Step::Execute, error),
            }
        }
    }
    failure
}

unsafe fn join(group: RawFd) -> Result<()> {
    // SAFETY: terminated strings; `0` means the writer itself.
    unsafe {
        let flags = libc::O_WRONLY | libc::O_CLOEXEC;
        let file = super::check(libc::openat(group, b"cgroup.procs\0".as_ptr().cast(), flags))?;
        let written = libc::write(file, b"0".as_ptr().cast(), 1);
        libc::close(file);
        super::check(written as i32).map(drop)
    }
}
