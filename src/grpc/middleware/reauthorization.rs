//! Authorizes the open streams of callers again when the callers file or the set of connections changes.

use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::Digest;
use futures::StreamExt;
use futures::stream::SelectAll;
use tokio_stream::wrappers::WatchStream;

use super::authorization::{PeerCertificate, check_access};
use super::callers::Callers;
use super::rejection::Rejection;
use crate::governance::connections::{Connection, Connections};
use crate::reload::Reloadable;

/// The credential that a stream was opened with, and the method it must be authorized for.
#[derive(Debug, Clone)]
pub(crate) struct Reauthorization {
    pub(crate) callers: Arc<Reloadable<Callers>>,
    /// Digest of the bearer token. The token itself is not kept.
    pub(crate) bearer: Option<Digest>,
    pub(crate) certificate: Option<PeerCertificate>,
    pub(crate) path: Arc<str>,
    /// The connection that the stream is about, with those among which it is, if the method concerns one.
    pub(crate) connection: Option<(Connections, Arc<Connection>)>,
}

/// Changes of the callers file, and of the set of connections, that a stream has not processed yet.
pub(crate) struct CallersWatch {
    reauthorization: Reauthorization,
    changes: SelectAll<WatchStream<()>>,
}

impl Reauthorization {
    /// Checks that the credential still belongs to a caller that may call the method.
    fn check(&self) -> Result<(), Rejection> {
        let certificate = self.certificate.as_ref().map(|peer| &peer.0);
        // A stream that a caller opened needs that caller, even if the method is public.
        let identity = self.callers.current().authenticate_digest(self.bearer, certificate);
        let identity = check_access(identity.ok_or(Rejection::UnknownCaller)?.into(), &self.path)?;
        let allowed = identity.and_then(|identity| identity.connections);
        match (&self.connection, allowed) {
            (Some((connections, connection)), Some(allowed))
                if !allowed.may_use(connection, &connections.current()) =>
            {
                Err(Rejection::ConnectionNotAllowed)
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn watch(self) -> CallersWatch {
        // A caller without `connections` may use a connection only while there is no other.
        let connections = self.connection.as_ref();
        let connections = connections.map(|(connections, _)| WatchStream::new(connections.changes()));
        CallersWatch {
            changes: connections.into_iter().chain([self.callers.changes()]).collect(),
            reauthorization: self,
        }
    }
}

impl CallersWatch {
    /// Resolves with the reason once the stream must end.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Rejection> {
        let mut changed = false;
        while let Poll::Ready(Some(())) = self.changes.poll_next_unpin(context) {
            changed = true;
        }
        if !changed {
            return Poll::Pending;
        }
        match self.reauthorization.check() {
            Ok(()) => Poll::Pending,
            Err(rejection) => {
                tracing::warn!(path = &*self.reauthorization.path, "a stream was ended: {rejection}");
                Poll::Ready(rejection)
            }
        }
    }
}
