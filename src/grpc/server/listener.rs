//! Where the server listens: a TCP address, or a Unix socket that only its owner can open.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::{PathBuf, absolute};
use std::pin::Pin;
use std::str::FromStr;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::unix_socket;
use super::unix_socket::SocketFile;

/// Pause after a failed accept, for example without free file descriptors, so that the loop does not spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Why a listener cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is not an address.
    #[error("`{0}` is neither an address such as `127.0.0.1:50051` nor `unix:PATH`")]
    NotAddress(String),
    /// Another process listens there.
    #[error("{0} is served by another process: end it, or choose another path")]
    Live(String),
    /// The file at the path is not a socket.
    #[error("{0} exists and is no socket: choose another path")]
    NotSocket(String),
    /// The operating system reported an error.
    #[error("cannot listen on {address}: {error}")]
    Refused {
        /// Where.
        address: String,
        /// The error.
        error: io::Error,
    },
}

impl FromStr for ListenAddress {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, ListenError> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        let wrong = || ListenError::NotAddress(text.to_owned());
        let address = text.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)?;
        Ok(Self::Tcp(address))
    }
}

impl ListenAddress {
    /// Whether it can be reached from other machines.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().is_loopback(),
            Self::Unix(_) => false,
        }
    }

    /// Whether both cannot be listened on at once. Port 0 conflicts with no other: the system chooses a free port each time.
    #[must_use]
    pub fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(one), Self::Tcp(other)) => {
                let same_port = one.port() == other.port() && one.port() != 0;
                let (one, other) = (one.ip(), other.ip());
                // The unspecified IPv6 address includes IPv4.
                let covers = |every: IpAddr, one: IpAddr| every.is_unspecified() && (every.is_ipv6() || one.is_ipv4());
                same_port && (one == other || covers(one, other) || covers(other, one))
            }
            (Self::Unix(one), Self::Unix(other)) => absolute(one).ok() == absolute(other).ok(),
            _ => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The address that is listened on, its port being the real one.
pub type BoundAddress = ListenAddress;

/// An open listener. A Unix socket's file goes when it is dropped.
#[derive(Debug)]
pub enum Listener {
    /// On TCP.
    Tcp(TcpListener),
    /// On a Unix socket.
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Opens a listener.
    ///
    /// # Errors
    /// The address is in use, or the operating system reports an error.
    pub async fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        let refused = |error| ListenError::Refused {
            address: address.to_string(),
            error,
        };
        match address {
            ListenAddress::Tcp(tcp) => TcpListener::bind(tcp).await.map(Self::Tcp).map_err(refused),
            ListenAddress::Unix(path) => {
                unix_socket::remove_stale(path).await?;
                unix_socket::bind(path)
                    .map(|(listener, file)| Self::Unix(listener, file))
                    .map_err(refused)
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The operating system reports an error.
    pub fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(ListenAddress::Tcp),
            Self::Unix(_, file) => Ok(ListenAddress::Unix(file.path().to_owned())),
        }
    }

    /// Accepts the next connection. Accept errors are logged and skipped.
    pub(crate) async fn accept(&mut self) -> io::Result<Stream> {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
                Self::Unix(listener, _) => listener.accept().await.map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(Stream::Tcp(stream)) => {
                    // Most messages are small; Nagle's algorithm would only delay them.
                    let _ = stream.set_nodelay(true);
                    return Ok(Stream::Tcp(stream));
                }
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
