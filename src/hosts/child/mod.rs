//! Child process: a Baton runner starts this process with a listening socket that it inherits, writes one line to its standard
//! input (`config`), and calls it over mutual TLS (`tls`). When standard input is closed, the runner has ended.

mod config;
mod input;
mod tls;

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use filedescriptor::FileDescriptor;
use rustix::net::sockopt::socket_acceptconn;
use rustls::ServerConfig;
use tokio::net::TcpListener;

use crate::governance::Governance;
use crate::grpc::server::{Listener, Reloadable, Server, ServerOptions};
use input::Input;

/// The last argument by which a runner starts its child.
pub const SUBCOMMAND: &str = "_connector-service";

/// The variable with the number of the inherited socket's file descriptor.
const LISTENER: &str = "BATON_CONNECTOR_SERVICE_LISTENER_FD";

/// The first file descriptor that is neither of the standard streams.
const FIRST_INHERITED: RawFd = 3;

/// Why a runner cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// No runner started this process.
    #[error(
        "`{SUBCOMMAND}` is started by a Baton runner, which sets {LISTENER}: to serve by hand, use `buildkite-connector serve`"
    )]
    NoRunner,
    /// The configuration on standard input cannot be used.
    #[error("the configuration on standard input {0}: check that the runner speaks c1.connector_wrapper.v1")]
    Config(String),
    /// The inherited file descriptor is not the socket that the configuration describes.
    #[error("{LISTENER}: file descriptor {descriptor} {problem}: check how the runner passes its listener on")]
    Listener {
        /// The number of the file descriptor.
        descriptor: RawFd,
        /// What is wrong with it.
        problem: String,
    },
    /// The listener failed.
    #[error("{0}")]
    Server(String),
}

/// A child that has its runner's configuration and socket.
pub struct Child {
    listener: Listener,
    tls: ServerConfig,
    input: Input,
}

impl Child {
    /// Reads the configuration from standard input and takes the socket over. `variable` is the environment.
    ///
    /// # Errors
    /// No runner started this process, or the configuration and the socket cannot be used.
    pub async fn open(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ChildError> {
        let descriptor = variable(LISTENER).ok_or(ChildError::NoRunner)?;
        let descriptor = descriptor.parse().map_err(|_| ChildError::NoRunner)?;
        let mut input = Input::open()?;
        let config = config::decode(&input.line().await?)?;
        Ok(Self {
            listener: inherit(descriptor, config.listen_port)?,
            tls: tls::server_config(&config.credential.unwrap_or_default())?,
            input,
        })
    }

    /// Serves the runner until standard input is closed, or `shutdown` resolves. Calls in progress get `drain` to finish.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn run(
        self,
        governance: Arc<Governance>,
        drain: Duration,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ChildError> {
        let failed = |error: &dyn std::error::Error| ChildError::Server(error.to_string());
        let options = ServerOptions {
            tls: Some(Reloadable::fixed(self.tls)),
            host: Some("child".into()),
            drain,
            ..ServerOptions::default()
        };
        let server = Server::new(governance, options).await;
        let input = self.input;
        let ending = async {
            tokio::select! {
                () = input.closed() => tracing::info!("the runner is gone"),
                () = shutdown => {}
            }
        };
        server.run(self.listener, ending).await.map_err(|error| failed(&error))
    }
}

/// Takes the inherited socket over. The number itself stays open until the process ends.
fn inherit(descriptor: RawFd, port: u32) -> Result<Listener, ChildError> {
    let wrong = |problem: String| ChildError::Listener { descriptor, problem };
    let unusable = |error: &dyn std::error::Error| wrong(format!("cannot be used ({error})"));
    if descriptor < FIRST_INHERITED {
        return Err(wrong("is a standard stream".to_owned()));
    }
    let duplicate = FileDescriptor::dup(&descriptor).and_then(|duplicate| duplicate.as_file());
    let socket = OwnedFd::from(duplicate.map_err(|error| unusable(&error))?);
    if !matches!(socket_acceptconn(&socket), Ok(true)) {
        return Err(wrong("is no listening socket".to_owned()));
    }
    let listener = std::net::TcpListener::from(socket);
    let address = listener.local_addr().map_err(|error| unusable(&error))?;
    if u32::from(address.port()) != port {
        return Err(wrong(format!(
            "listens on {address}, not on the port {port} of the configuration"
        )));
    }
    let into_runtime = |listener: std::net::TcpListener| -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    into_runtime(listener)
        .map(Listener::Tcp)
        .map_err(|error| unusable(&error))
}
