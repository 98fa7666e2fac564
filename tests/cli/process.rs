//! The binary, run: its lines as they come, signals, and its end. Every wait has a bound and none is a sleep.
//!
//! The waits block their thread, so a test with a gRPC client needs a runtime with a worker beside it: a server that ends
//! waits for its clients to notice.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes, even on a busy machine.
const BOUND: Duration = Duration::from_secs(120);

/// The binary with these arguments, and nothing of the environment.
pub fn connector(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("buildkite-connector"));
    command.env_clear().args(arguments);
    command
}

/// A process that was started, and everything that it has printed.
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    /// All lines so far, of both streams.
    pub printed: Vec<String>,
}

/// How a process ended.
pub struct Ended {
    pub status: ExitStatus,
    pub printed: Vec<String>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::with_input(command)
    }

    /// The same with the standard input that the command has.
    pub fn with_input(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
        }
        Self {
            child,
            lines,
            printed: vec![],
        }
    }

    /// The next line, from now on, that holds this.
    pub fn line(&mut self, holding: &str) -> String {
        let end = Instant::now() + BOUND;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.printed.push(line.clone());
                    if line.contains(holding) {
                        return line;
                    }
                }
                Err(error) => panic!("no line with `{holding}` ({error}), but {:#?}", self.printed),
            }
        }
    }

    /// The next log event with this message.
    pub fn event(&mut self, message: &str) -> Value {
        let line = self.line(&format!("\"message\":\"{message}"));
        serde_json::from_str(&line).unwrap()
    }

    /// Where a server listens, as its log says.
    pub fn address(&mut self) -> String {
        self.event("serving")["address"].as_str().unwrap().to_owned()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let process = self.id().to_string();
        let sent = Command::new("kill")
            .args([format!("-{name}"), process])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Waits for the end, and for everything that was printed.
    pub fn ended(mut self) -> Ended {
        let end = Instant::now() + BOUND;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it did not end: {:#?}", self.printed),
            }
        }
        Ended {
            status: self.child.wait().unwrap(),
            printed: std::mem::take(&mut self.printed),
        }
    }

    /// Asks it to end as a supervisor would, and waits until it has.
    pub fn terminate(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed half-way leaves nothing running; one that ended has nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
