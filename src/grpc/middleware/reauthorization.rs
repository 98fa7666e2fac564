//! Authorizes the open streams of callers again when the callers file changes.

use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::Digest;
use futures::StreamExt;
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

/// Changes of the callers file that a stream has not processed yet.
pub(crate) struct CallersWatch {
    reauthorization: Reauthorization,
    changes: Option<WatchStream<()>>,
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
        CallersWatch {
            changes: Some(self.callers.changes()),
            reauthorization: self,
        }
    }
}

impl CallersWatch {
    /// Resolves with the reason once the stream must end.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Rejection> {
        let mut changed = false;
        while let Some(changes) = &mut self.changes {
            match changes.poll_next_unpin(context) {
                Poll::Ready(Some(())) => changed = true,
                Poll::Ready(None) => self.changes = None,
                Poll::Pending => break,
            }
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
