//! What a process has used, as Linux reports it.

#![allow(dead_code, reason = "each bench measures something else")]

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// The ticks in which Linux reports the CPU time of a process.
const TICKS_PER_SECOND: f64 = 100.0;

/// Between two samples of a process that is measured.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);

/// Its peak memory, in megabytes.
pub(crate) fn peak_megabytes(process: u32) -> f64 {
    megabytes_of(process, "VmHWM:")
}

/// The memory that it has now, in megabytes.
pub(crate) fn resident_megabytes(process: u32) -> f64 {
    megabytes_of(process, "VmRSS:")
}

fn megabytes_of(process: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
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

/// What a process used from its start to its end.
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// CPU time in seconds.
    pub(crate) cpu: f64,
    pub(crate) peak_megabytes: f64,
}

/// Samples a process until it has ended, which it has to do well. A process that ended and was not reaped still reports its CPU
/// time.
pub(crate) fn measure(mut job: Child) -> Measured {
    let (began, mut peak) = (Instant::now(), 0.0);
    let fields = loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", job.id())).unwrap();
        // The name before the bracket may hold spaces.
        let fields: Vec<String> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        if fields[0] == "Z" {
            break fields;
        }
        let status = fs::read_to_string(format!("/proc/{}/status", job.id())).unwrap();
        if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) {
            peak = line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0;
        }
        std::thread::sleep(SAMPLE_INTERVAL);
    };
    let wall = began.elapsed();
    assert!(job.wait().unwrap().success());
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    Measured {
        wall,
        cpu: ticks / TICKS_PER_SECOND,
        peak_megabytes: peak,
    }
}
