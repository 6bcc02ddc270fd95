//! The rate of the time stamp counter. An emulated guest sees the host's counter but cannot calibrate it on a busy
//! host, so it is told; the "cpu MHz" of /proc/cpuinfo is the present clock of a core and may differ.

use std::arch::x86_64::_rdtsc;
use std::io;
use std::mem::zeroed;

const SPAN_NS: i64 = 50_000_000;

pub fn print_measurement() -> io::Result<()> {
    let (start_ticks, start_ns) = sample();
    unsafe { libc::usleep((SPAN_NS / 1000) as u32) };
    let (end_ticks, end_ns) = sample();
    println!(
        "{{\"tscKhz\":{}}}",
        (end_ticks - start_ticks) * 1_000_000 / (end_ns - start_ns) as u64
    );
    Ok(())
}

/// Counter and clock read together; of some tries the one least disturbed.
fn sample() -> (u64, i64) {
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..16 {
        let before = unsafe { _rdtsc() };
        let now = nanoseconds();
        let after = unsafe { _rdtsc() };
        if after - before < best.0 {
            best = (after - before, before + (after - before) / 2, now);
        }
    }
    (best.1, best.2)
}

fn nanoseconds() -> i64 {
    unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &mut time);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    }
}
