//! What a process has used so far, as Linux reports it.

#![allow(dead_code, reason = "each bench measures something else")]

use std::fs;
use std::time::Duration;

/// Its peak memory, in megabytes.
pub(crate) fn peak_megabytes(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The CPU time of its threads, in seconds.
pub(crate) fn cpu_seconds(process: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds: u64 = threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap())
        .map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap())
        .sum();
    Duration::from_nanos(nanoseconds).as_secs_f64()
}
