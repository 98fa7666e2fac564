//! A caller's open streams are authorized again when the callers file changes.

use std::sync::Arc;
use std::task::{Context, Poll};

use aws_lc_rs::digest::Digest;
use futures::StreamExt;
use tokio_stream::wrappers::WatchStream;

use super::authorization::{PeerCertificate, authorize};
use super::callers::Callers;
use super::rejection::Refusal;
use crate::reload::Reloadable;

/// What a stream's caller proved itself with, and what the stream needs.
#[derive(Debug, Clone)]
pub(crate) struct Reauthorization {
    pub(crate) callers: Arc<Reloadable<Callers>>,
    /// Of the bearer; the bearer itself is not kept.
    pub(crate) bearer: Option<Digest>,
    pub(crate) certificate: Option<PeerCertificate>,
    pub(crate) path: Arc<str>,
}

/// The changes of the callers file that have yet to be seen by a stream.
pub(crate) struct CallersWatch {
    reauthorization: Reauthorization,
    changes: Option<WatchStream<()>>,
}

impl Reauthorization {
    /// Whether the caller is still known and may still do this.
    fn check(&self) -> Result<(), Refusal> {
        let certificate = self.certificate.as_ref().map(|peer| &peer.0);
        // What was opened by a caller needs one, also where the method is open to everybody.
        let known = self.callers.current().recognise_digest(self.bearer, certificate);
        authorize(known.ok_or(Refusal::Unknown)?.into(), &self.path).map(|_| ())
    }

    pub(crate) fn watch(self) -> CallersWatch {
        CallersWatch {
            changes: Some(self.callers.changes()),
            reauthorization: self,
        }
    }
}

impl CallersWatch {
    /// Why the stream has to end, once it has to.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Refusal> {
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
            Err(refusal) => {
                tracing::warn!(path = &*self.reauthorization.path, "a stream was ended: {refusal}");
                Poll::Ready(refusal)
            }
        }
    }
}
