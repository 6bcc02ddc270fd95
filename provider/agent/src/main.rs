//! PID 1 of a sandbox. Without arguments as process 1 it boots the machine; with `--socket PATH` or `--fd N` it serves
//! the same protocol as an ordinary process, which is how it is tested without a VM.

#![deny(unsafe_op_in_unsafe_fn)]
// Started by libc without Rust's runtime: that one ends the process when /dev/null cannot be opened, as in an
// initramfs, and it would make programs inherit an ignored SIGPIPE.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(test, allow(dead_code))]

mod archive;
mod background;
mod boot;
mod cgroup;
mod connect;
mod delegate;
mod exec;
mod files;
mod foreign;
mod frames;
mod identity;
mod listen;
mod outbox;
mod pipes;
mod port;
mod protocol;
mod server;
mod session;
mod stream;
mod sys;
mod tlv;
mod users;
mod volume;

use server::Server;
use std::path::PathBuf;

#[cfg(not(test))]
#[no_mangle]
pub extern "C" fn main(_count: i32, _arguments: *const *const std::os::raw::c_char) -> i32 {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--version"] => {
            println!("agent {} protocol {}", env!("CARGO_PKG_VERSION"), protocol::VERSION);
            0
        }
        ["--socket", path] => serve(port::listen(path)),
        ["--fd", number] => serve(
            number
                .parse()
                .map_err(|_| sys::Errno(libc::EBADF))
                .and_then(port::inherit),
        ),
        _ if sys::process_id() == 1 => run_machine(),
        _ => {
            eprintln!("usage: agent --socket PATH | --fd NUMBER | --version; without arguments only as process 1");
            2
        }
    }
}

/// Each running program costs the agent up to five; 1024 is the kernel's default and too few for many.
const OPEN_FILES: u64 = 524_288;

fn run_machine() -> i32 {
    sys::set_file_mask(0o022);
    sys::allow_open_files(OPEN_FILES);
    let result = boot::start().and_then(|()| {
        let port = port::find_virtio(boot::DEVICE_WAIT_MS)
            .map_err(|error| ("find the port of the host".to_string(), error))?;
        let groups = cgroup::Cgroups::below(Some(PathBuf::from("/sys/fs/cgroup/exec")));
        Server::new(port, true, groups)
            .and_then(|mut server| server.run())
            .map_err(|error| ("serve".to_string(), error))
    });
    boot::give_up(
        &result
            .err()
            .unwrap_or_else(|| ("the server ended".to_string(), sys::Errno(0))),
    )
}

fn serve(port: sys::Result<port::Port>) -> i32 {
    sys::fill_standard_streams();
    sys::become_subreaper();
    let _ = sys::loopback_up(); // down in a network namespace of its own, up elsewhere
    let result = port.and_then(|port| Server::new(port, false, cgroup::Cgroups::below(cgroup::base_on_host()))?.run());
    match result {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("agent: cannot serve: {}", error);
            1
        }
    }
}
