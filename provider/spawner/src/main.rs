//! The host's helper for what Node cannot do: start QEMU from a small process with inherited, already listening
//! sockets, and test KVM by running a virtual CPU.

mod child;
mod kvm;
mod log;
mod request;
mod serve;
mod tsc;

use std::process::exit;

const USAGE: &str = "usage: spawner serve | spawner probe-kvm | spawner measure-tsc";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let result = match (command.as_str(), arguments.next()) {
        ("serve", None) => serve::serve(),
        ("probe-kvm", None) => kvm::print_probe(),
        ("measure-tsc", None) => tsc::print_measurement(),
        _ => {
            eprintln!("{}", USAGE);
            exit(2);
        }
    };
    if let Err(error) = result {
        eprintln!("spawner {}: {}", command, error);
        exit(1);
    }
}
