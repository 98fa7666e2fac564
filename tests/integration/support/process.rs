//! The binary as a process: its output line by line, signals, and its end. Every wait is for an event, with a bound.
//!
//! The waits block their thread, so a test with a gRPC client needs a runtime with another worker: a server that ends
//! waits until its clients have noticed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use buildkite_connector::sandbox::Sandbox;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use super::platform::Platform;
use super::wait::BOUND;

/// The binary with these arguments and an empty environment.
pub fn connector(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("buildkite-connector"));
    command.env_clear().args(arguments);
    command
}

/// The environment of a command that uses `sandbox` with this token.
pub fn set_up(command: &mut Command, sandbox: &Sandbox, token: &SecretString) {
    command
        .env("BUILDKITE_REST_URL", sandbox.url())
        .env("BUILDKITE_ORGANIZATION_SLUG", sandbox.slug())
        .env("BUILDKITE_API_TOKEN", token.expose_secret());
}

/// A running process; it is killed when this is dropped.
pub struct ConnectorProcess {
    child: Child,
    lines: Receiver<String>,
    /// The log event `serving`, once it was waited for.
    serving: Option<Value>,
    /// All lines so far, of both streams.
    pub printed: Vec<String>,
}

/// How a process ended.
pub struct Ended {
    pub status: ExitStatus,
    pub printed: Vec<String>,
}

impl ConnectorProcess {
    /// Serves `sandbox` on a free port, with its token and these arguments.
    pub fn serve(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let mut command = connector(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(arguments);
        set_up(&mut command, sandbox, sandbox.token());
        Self::start(command)
    }

    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        Self::with_input(command)
    }

    /// The same with the standard input that the command has.
    pub fn with_input(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
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
            serving: None,
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

    /// The next log events with these messages, which come in any order.
    pub fn events<const N: usize>(&mut self, messages: [&str; N]) -> [Value; N] {
        let mut found: [Option<Value>; N] = [const { None }; N];
        while found.iter().any(Option::is_none) {
            let line = self.line("\"message\":\"");
            for (message, found) in messages.iter().zip(&mut found) {
                if found.is_none() && line.contains(&format!("\"message\":\"{message}")) {
                    *found = Some(serde_json::from_str(&line).unwrap());
                }
            }
        }
        found.map(Option::unwrap)
    }

    /// The address of a server; waits until it serves.
    pub fn address(&mut self) -> String {
        if self.serving.is_none() {
            self.serving = Some(self.event("serving"));
        }
        self.listener("address")
    }

    /// The address of the metrics, after `address`.
    pub fn metrics(&self) -> String {
        self.listener("metrics")
    }

    fn listener(&self, field: &str) -> String {
        let serving = self.serving.as_ref().expect("`address` was not waited for");
        serving[field].as_str().unwrap().to_owned()
    }

    /// A channel to the server, after `address`.
    pub async fn channel(&self) -> Channel {
        channel(&self.listener("address")).await
    }

    /// A platform on a channel of its own, after `address`.
    pub async fn platform(&self) -> Platform {
        Platform::new(self.channel().await)
    }

    /// The process id.
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

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, as a supervisor does, and waits for the end.
    pub fn terminate(self) -> Ended {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for ConnectorProcess {
    fn drop(&mut self) {
        // A test that fails leaves no process behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A channel to an address as the log prints it: `host:port` or `unix:PATH`.
pub async fn channel(address: &str) -> Channel {
    let uri = if address.starts_with("unix:") {
        address.to_owned()
    } else {
        format!("http://{address}")
    };
    Endpoint::try_from(uri).unwrap().connect().await.unwrap()
}
