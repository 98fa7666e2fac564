//! go-plugin: a host starts this process, reads one line of its standard output, and calls it over a Unix socket, or over TCP on
//! this machine if no socket can be created. With `AutoMTLS` both sides authenticate with certificates that are made at each
//! start.

mod mtls;
mod services;

use std::fs::Permissions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, getppid};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::governance::Governance;
use crate::grpc::server::{ListenAddress, Listener, Reloadable, Server, ServerOptions};
use mtls::Identity;

/// The variable that a host sets for its plugin, and its value.
pub const COOKIE: [&str; 2] = ["CONNECTOR_PLUGIN", "c1.connector.v2"];

/// The service name in the health checks of the host.
const SERVICE: &str = "plugin";

/// Between two checks that the host still runs.
const PARENT_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The settings that a host passes in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginOptions {
    /// The host's certificate, PEM; turns `AutoMTLS` on.
    pub client_certificate: Option<String>,
    /// The directory for the socket.
    pub socket_directory: Option<PathBuf>,
    /// The first and the last port to use if no socket can be created; none for any.
    pub ports: Option<(u16, u16)>,
}

impl PluginOptions {
    /// Reads the environment.
    ///
    /// # Errors
    /// When no host started this process.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, PluginError> {
        let [cookie, value] = COOKIE;
        if variable(cookie).as_deref() != Some(value) {
            return Err(PluginError::NoHost);
        }
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let port = |name: &str| given(name).and_then(|port| port.parse().ok());
        Ok(Self {
            client_certificate: given("PLUGIN_CLIENT_CERT"),
            socket_directory: given("PLUGIN_UNIX_SOCKET_DIR").map(PathBuf::from),
            ports: port("PLUGIN_MIN_PORT").zip(port("PLUGIN_MAX_PORT")),
        })
    }
}

/// Why a host cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// No host started this process.
    #[error(
        "`plugin` is started by a go-plugin host, which sets CONNECTOR_PLUGIN=c1.connector.v2: to serve by hand, use `serve`"
    )]
    NoHost,
    /// No socket can be created, and TCP without `AutoMTLS` would admit any process of the machine.
    #[error(
        "no socket can be created ({0}), and over TCP without AutoMTLS any process on this machine could grant: set PLUGIN_UNIX_SOCKET_DIR to a short, writable directory, or turn AutoMTLS on"
    )]
    NoSocket(String),
    /// All ports of the host's range are in use.
    #[error("no port of the host's range can be listened on: {0}")]
    NoPort(String),
    /// The host's certificate, or ours, cannot be used.
    #[error("AutoMTLS cannot be set up: {0}")]
    Tls(String),
    /// The server cannot be created.
    #[error("{0}")]
    Server(String),
}

/// A plugin that listens.
pub struct Plugin {
    listener: Listener,
    // Removed with the socket in it.
    _directory: Option<TempDir>,
    identity: Option<Identity>,
    host: Option<Pid>,
    handshake: String,
}

impl Plugin {
    /// Opens the listener.
    ///
    /// # Errors
    /// When the host's certificate is no certificate, or nothing can be listened on.
    pub async fn open(options: &PluginOptions) -> Result<Self, PluginError> {
        // Read before the handshake is printed: a host that ends right after it would otherwise not be detected.
        let host = getppid();
        let identity = options.client_certificate.as_deref().map(Identity::make).transpose()?;
        let (listener, directory) = match socket(options).await {
            Ok((listener, directory)) => (listener, Some(directory)),
            Err(problem) if identity.is_none() => return Err(PluginError::NoSocket(problem)),
            Err(_) => (port(options.ports).await?, None),
        };
        let address = listener
            .address()
            .map_err(|error| PluginError::Server(error.to_string()))?;
        let address = match address {
            ListenAddress::Unix(path) => format!("unix|{}", path.display()),
            ListenAddress::Tcp(address) => format!("tcp|{address}"),
        };
        let certificate = identity.as_ref().map(Identity::encoded).unwrap_or_default();
        Ok(Self {
            listener,
            _directory: directory,
            identity,
            host,
            handshake: format!("1|1|{address}|grpc|{certificate}"),
        })
    }

    /// The one line that the host reads on standard output.
    #[must_use]
    pub fn handshake(&self) -> &str {
        &self.handshake
    }

    /// Serves the host until it shuts the plugin down, `shutdown` resolves, or the host has ended.
    ///
    /// # Errors
    /// When the listener of the server fails.
    pub async fn run(
        self,
        access: Arc<Governance>,
        drain: Duration,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), PluginError> {
        let failed = |error: &dyn std::error::Error| PluginError::Server(error.to_string());
        let requested = CancellationToken::new();
        let options = ServerOptions {
            tls: self.identity.map(|identity| Reloadable::fixed(identity.into_config())),
            callers: None,
            host: Some("plugin".into()),
            drain,
            ..ServerOptions::default()
        };
        let controller = requested.clone();
        let server = Server::with_services(access, options, |routes, ending| {
            services::add(routes, &controller, ending);
        })
        .await;
        server.announce(SERVICE).await;
        let ending = async {
            tokio::select! {
                () = requested.cancelled() => tracing::info!("the host ends this plugin"),
                () = orphaned(self.host) => tracing::warn!("the host is gone"),
                () = shutdown => {}
            }
        };
        server.run(self.listener, ending).await.map_err(|error| failed(&error))
    }
}

/// A socket in a directory that only this user can enter.
async fn socket(options: &PluginOptions) -> Result<(Listener, TempDir), String> {
    let within = options.socket_directory.clone().unwrap_or_else(std::env::temp_dir);
    let directory = tempfile::Builder::new()
        .prefix("plugin-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(within)
        .map_err(|error| error.to_string())?;
    let address = ListenAddress::Unix(directory.path().join("s"));
    let listener = Listener::bind(&address).await.map_err(|error| error.to_string())?;
    Ok((listener, directory))
}

async fn port(range: Option<(u16, u16)>) -> Result<Listener, PluginError> {
    let (first, last) = range.unwrap_or((0, 0));
    let mut problem = format!("{first} to {last} is no range");
    for port in first..=last {
        let address = ListenAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        match Listener::bind(&address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(PluginError::NoPort(problem))
}

/// Resolves when the host has ended: this process then has another parent.
async fn orphaned(host: Option<Pid>) {
    while getppid() == host {
        sleep(PARENT_CHECK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_cookie_there_is_no_host() {
        let other = |name: &str| (name == "CONNECTOR_PLUGIN").then(|| "x".to_owned());
        assert!(matches!(PluginOptions::read(other), Err(PluginError::NoHost)));
        assert!(matches!(PluginOptions::read(|_| None), Err(PluginError::NoHost)));
    }

    #[tokio::test]
    async fn a_port_within_the_range_is_taken_and_a_full_range_is_an_error() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port_taken = taken.local_addr().unwrap().port();
        assert!(matches!(
            port(Some((port_taken, port_taken))).await,
            Err(PluginError::NoPort(_))
        ));
        assert!(port(None).await.is_ok());
    }
}
