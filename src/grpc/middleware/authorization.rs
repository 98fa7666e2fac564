//! Authorization: admits a call if its caller may call the method ([`methods`]), and denies methods without a row.
//!
//! Without a callers file, every client that reaches the listener may call every method; the settings require the file where
//! the listener is remote. With it, `grpc.health.v1` stays public, readers call what reads, and provisioners call everything.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt, ready};
use http::{Request, Response, header};
use rustls::pki_types::CertificateDer;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument;

use super::callers::{CallerRole, Callers, Identity, digest_of};
use super::connections::{ActiveCall, Connection};
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
    pub(crate) connection: Arc<Connection>,
    /// Keeps the connection from being evicted. `None` for an unauthenticated probe.
    pub(crate) active_call: Option<ActiveCall>,
    /// How a caller's stream is authorized again. `None` for a call that ends on its own.
    pub(crate) reauthorization: Option<Reauthorization>,
}

/// Authorizes the calls of the inner service.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizationService<S> {
    inner: S,
    callers: Option<Arc<Reloadable<Callers>>>,
    certificate: Option<PeerCertificate>,
    connection: Arc<Connection>,
    host: Option<Arc<str>>,
}

impl<S> AuthorizationService<S> {
    pub(crate) fn new(
        inner: S,
        callers: Option<Arc<Reloadable<Callers>>>,
        certificate: Option<PeerCertificate>,
        connection: Arc<Connection>,
    ) -> Self {
        Self {
            inner,
            callers,
            certificate,
            connection,
            host: None,
        }
    }

    /// Without a callers file, identifies every client as this host, which started the process.
    pub(crate) fn for_host(self, host: Option<Arc<str>>) -> Self {
        Self { host, ..self }
    }

    fn authorize(&self, request: &Request<Body>) -> Result<(Origin, Option<Identity>), Rejection> {
        let path = request.uri().path();
        let Some(callers) = &self.callers else {
            let (_, method) = methods::find(path).ok_or(Rejection::UnknownMethod)?;
            let host = self.host.clone().map(|name| Identity {
                name,
                role: CallerRole::Provisioner,
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

fn bearer<B>(request: &Request<B>) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, bearer) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(bearer.trim_ascii())
}

impl<S> Service<Request<Body>> for AuthorizationService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match self.authorize(&request) {
            Ok((origin, identity)) => {
                // The credential is not passed on.
                request.headers_mut().remove(header::AUTHORIZATION);
                request.extensions_mut().insert(origin);
                let Some(Identity { name, .. }) = identity else {
                    return self.inner.call(request).boxed();
                };
                // Every log line of the call names its caller.
                let span = tracing::info_span!("call", caller = &*name, path = request.uri().path());
                request.extensions_mut().insert(Caller(name));
                self.inner.call(request).instrument(span).boxed()
            }
            Err(rejection) => {
                tracing::warn!(path = request.uri().path(), "a call was refused: {rejection}");
                ready(Ok(tonic::Status::from(rejection).into_http())).boxed()
            }
        }
    }
}
