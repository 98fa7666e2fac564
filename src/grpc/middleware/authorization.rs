//! Authorization: admits a call if its caller may call the method ([`methods`]), and denies methods without a row.
//!
//! Without a callers file, every client that reaches the listener may call every method; the settings require the file where
//! the listener is remote. With it, `grpc.health.v1` stays public, readers call what reads, and provisioners call everything.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header;
use rustls::pki_types::CertificateDer;
use tracing::Instrument;

use super::caller_connections::CallerConnections;
use super::callers::{CallerRole, Callers, Identity, digest_of};
use super::connections::{ActiveCall, PeerConnection};
use super::reauthorization::Reauthorization;
use super::rejection::Rejection;
use crate::grpc::methods::{self, Access};
use crate::grpc::services::Caller;
use crate::reload::Reloadable;

/// The client certificate that was verified in a connection's handshake.
#[derive(Debug, Clone)]
pub(crate) struct PeerCertificate(pub(crate) CertificateDer<'static>);

/// Where a call comes from; the limits depend on it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The caller's name in the callers file. `None` for an unauthenticated call, and without a file.
    pub(crate) caller: Option<Arc<str>>,
    /// The connection that the call arrived on.
    pub(crate) connection: Arc<PeerConnection>,
    /// Keeps the connection from being evicted. `None` for an unauthenticated probe.
    pub(crate) active_call: Option<ActiveCall>,
    /// How a caller's stream is authorized again. `None` for a call that ends on its own.
    pub(crate) reauthorization: Option<Reauthorization>,
}

/// What the calls of one connection are authorized by.
#[derive(Debug, Clone)]
pub(crate) struct Authorizer {
    /// The callers file; without it, every client of the listener may call every method.
    pub(crate) callers: Option<Arc<Reloadable<Callers>>>,
    pub(crate) certificate: Option<PeerCertificate>,
    pub(crate) connection: Arc<PeerConnection>,
    /// The host that started the process: without a callers file, every client is identified as it.
    pub(crate) host: Option<Arc<str>>,
}

/// Admits the call, or rejects it.
pub(crate) async fn authorize(State(authorizer): State<Authorizer>, mut request: Request, next: Next) -> Response {
    match authorizer.authorize(&request) {
        Ok((origin, identity)) => {
            // The credential is not passed on.
            request.headers_mut().remove(header::AUTHORIZATION);
            if let Some(reauthorization) = &origin.reauthorization {
                request.extensions_mut().insert(reauthorization.clone());
            }
            request.extensions_mut().insert(origin);
            if is_anonymous(&authorizer, identity.as_ref()) {
                // Whoever is not known may use no connection.
                request
                    .extensions_mut()
                    .insert::<Arc<CallerConnections>>(Arc::default());
            }
            let Some(Identity {
                name,
                role,
                connections,
            }) = identity
            else {
                return next.run(request).await;
            };
            // Every log line of the call names its caller.
            let span = tracing::info_span!("call", caller = &*name, path = request.uri().path());
            request.extensions_mut().insert(Caller(name));
            request.extensions_mut().insert(role);
            if let Some(connections) = connections {
                request.extensions_mut().insert::<Arc<CallerConnections>>(connections);
            }
            next.run(request).instrument(span).await
        }
        Err(rejection) => {
            tracing::warn!(path = request.uri().path(), "a call was refused: {rejection}");
            tonic::Status::from(rejection).into_http()
        }
    }
}

/// Whether the callers are listed and this is none of them.
fn is_anonymous(authorizer: &Authorizer, identity: Option<&Identity>) -> bool {
    authorizer.callers.is_some() && identity.is_none()
}

impl Authorizer {
    fn authorize(&self, request: &Request) -> Result<(Origin, Option<Identity>), Rejection> {
        let path = request.uri().path();
        let Some(callers) = &self.callers else {
            let (_, method) = methods::find(path).ok_or(Rejection::UnknownMethod)?;
            let host = self.host.clone().map(|name| Identity {
                name,
                role: CallerRole::Provisioner,
                connections: None,
            });
            if method.access == Access::Host && host.is_none() {
                return Err(Rejection::UnknownMethod);
            }
            let active_call = (!method.class.is_probe()).then(|| self.connection.begin_call());
            return Ok((self.origin(None, active_call), host));
        };
        let bearer = bearer(request).map(digest_of);
        let identity = callers
            .current()
            .authenticate_digest(bearer, self.certificate.as_ref().map(|peer| &peer.0));
        // A caller whose call is rejected is authenticated all the same.
        let active_call = identity.is_some().then(|| self.connection.begin_call());
        let identity = check_access(identity, path)?;
        let mut origin = self.origin(
            identity.as_ref().map(|identity| Arc::clone(&identity.name)),
            active_call,
        );
        if identity.is_some() && methods::class(path).is_open_ended() {
            origin.reauthorization = Some(Reauthorization {
                callers: Arc::clone(callers),
                bearer,
                certificate: self.certificate.clone(),
                path: path.into(),
                connection: None,
            });
        }
        Ok((origin, identity))
    }

    fn origin(&self, caller: Option<Arc<str>>, active_call: Option<ActiveCall>) -> Origin {
        Origin {
            caller,
            connection: Arc::clone(&self.connection),
            active_call,
            reauthorization: None,
        }
    }
}

/// Checks that `identity` may call the method at `path`; `None` is an unauthenticated client.
///
/// # Errors
/// The reason why it may not.
pub(crate) fn check_access(identity: Option<Identity>, path: &str) -> Result<Option<Identity>, Rejection> {
    match methods::find(path).map(|(_, method)| method.access) {
        Some(Access::Public) => Ok(identity),
        Some(Access::Role(needed)) => match identity {
            Some(identity) if identity.role >= needed => Ok(Some(identity)),
            Some(identity) => Err(Rejection::NotAllowed(identity.name)),
            None => Err(Rejection::UnknownCaller),
        },
        // Only callers learn which methods exist.
        Some(Access::Host) | None => Err(if identity.is_some() {
            Rejection::UnknownMethod
        } else {
            Rejection::UnknownCaller
        }),
    }
}

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, bearer) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(bearer.trim_ascii())
}
