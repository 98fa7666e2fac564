//! The real binary in a process of its own, on a sandbox.

#![allow(dead_code, reason = "each bench measures something else of it")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use buildkite_connector::sandbox::Sandbox;
use secrecy::ExposeSecret;

/// The process; it is killed when this is dropped.
pub(crate) struct Served {
    child: Child,
    pub(crate) address: String,
    /// When it was spawned.
    pub(crate) spawned: Instant,
    /// How long it took until it said that it serves.
    pub(crate) said_after: Duration,
}

impl Served {
    /// Serves on a free port, with these flags as well.
    pub(crate) fn start(sandbox: &Sandbox, flags: &[&str]) -> Self {
        let spawned = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_buildkite-connector"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(flags)
            .env("BUILDKITE_REST_URL", sandbox.url())
            .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
            .env("BUILDKITE_API_TOKEN", sandbox.token().expose_secret())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = lines
            .find_map(|line| line.ok().filter(|line| line.contains("\"serving\"")))
            .unwrap();
        let said_after = spawned.elapsed();
        let serving: serde_json::Value = serde_json::from_str(&serving).unwrap();
        // The rest is read and dropped, so that the child never waits for its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: serving["address"].as_str().unwrap().to_owned(),
            spawned,
            said_after,
        }
    }

    /// Its peak memory so far, in megabytes.
    pub(crate) fn peak_megabytes(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }

    /// Seconds that its threads have run.
    pub(crate) fn cpu(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds: u64 = threads
            .map(|thread| fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap())
            .map(|stat| stat.split(' ').next().unwrap().parse::<u64>().unwrap())
            .sum();
        Duration::from_nanos(nanoseconds).as_secs_f64()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
