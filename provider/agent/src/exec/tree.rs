//! Signals to a program and everything that came from it.

use crate::cgroup::Cgroup;
use crate::sys;
use std::fs;

/// Sends a signal to the whole tree. With a group nothing escapes; without one a daemon that left both its session
/// and its parents is not found.
pub fn signal(leader: i32, group: Option<&Cgroup>, signal: i32) {
    if let Some(group) = group {
        if signal == libc::SIGKILL && group.kill().is_ok() {
            return;
        }
        for pid in group.members() {
            let _ = sys::kill(pid, signal); // gone meanwhile
        }
        return;
    }
    let rounds = if signal == libc::SIGKILL { 3 } else { 1 }; // again for what was forked during the scan
    for _ in 0..rounds {
        for pid in descendants(leader) {
            let _ = sys::kill(pid, signal); // gone meanwhile
        }
        let _ = sys::kill(-leader, signal); // the leader has a process group of its own; empty is no error here
    }
}

/// Members of the leader's session and all their descendants.
fn descendants(leader: i32) -> Vec<i32> {
    let table = processes();
    let mut found = vec![leader];
    loop {
        let before = found.len();
        for process in &table {
            let belongs = process.session == leader || found.contains(&process.parent);
            if belongs && !found.contains(&process.pid) {
                found.push(process.pid);
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

struct Process {
    pid: i32,
    parent: i32,
    session: i32,
}

fn processes() -> Vec<Process> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in parentheses may hold anything, also parentheses.
            let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace().skip(1);
            let parent = fields.next()?.parse().ok()?;
            let session = fields.nth(1)?.parse().ok()?;
            Some(Process { pid, parent, session })
        })
        .collect()
}
