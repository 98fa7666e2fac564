//! Who may call what: one rule a method, and none for what is not in the table.
//!
//! Without a callers file everybody who reaches the listener may call everything; where others can reach it, the settings
//! insist on the file. With it, `grpc.health.v1` stays open to probes, everything else is for callers, and what changes
//! something is for provisioners.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::{BoxFuture, FutureExt, ready};
use http::{Request, Response, header};
use rustls::pki_types::CertificateDer;
use tonic::body::Body;
use tower::Service;
use tracing::Instrument;

use super::callers::{CallerRole, Callers, Known};
use super::refusal::Refusal;
use super::watched::Watched;
use crate::connector::Caller;

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Anybody: probes.
    Open,
    /// A caller of at least this role.
    Caller(CallerRole),
}

/// The rule of a method, by its path; none for a method that nobody thought of, which nobody may call.
#[must_use]
pub fn rule(path: &str) -> Option<Rule> {
    match path.strip_prefix('/')? {
        "grpc.health.v1.Health/Check" | "grpc.health.v1.Health/Watch" => Some(Rule::Open),
        "c1.connector.v2.GrantManagerService/Grant" | "c1.connector.v2.GrantManagerService/Revoke" => {
            Some(Rule::Caller(CallerRole::Provisioner))
        }
        "c1.connector.v2.ConnectorService/GetMetadata"
        | "c1.connector.v2.ConnectorService/Validate"
        | "c1.connector.v2.ConnectorService/Cleanup"
        | "c1.connector.v2.ResourceTypesService/ListResourceTypes"
        | "c1.connector.v2.ResourcesService/ListResources"
        | "c1.connector.v2.ResourceGetterService/GetResource"
        | "c1.connector.v2.EntitlementsService/ListEntitlements"
        | "c1.connector.v2.EntitlementsService/ListStaticEntitlements"
        | "c1.connector.v2.GrantsService/ListGrants"
        | "c1.ratelimit.v1.RateLimiterService/Do"
        | "c1.ratelimit.v1.RateLimiterService/Report"
        | "connector.health.v1.ScopeHealthService/CheckScopes"
        | "connector.health.v1.ScopeHealthService/WatchScopes"
        | "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        | "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => Some(Rule::Caller(CallerRole::Reader)),
        _ => None,
    }
}

/// The certificate that a connection's client proved to have.
#[derive(Debug, Clone)]
pub(super) struct PeerCertificate(pub(super) CertificateDer<'static>);

/// The service that lets callers through to the one inside.
#[derive(Debug, Clone)]
pub(super) struct Admission<S> {
    inner: S,
    callers: Option<Arc<Watched<Callers>>>,
    certificate: Option<PeerCertificate>,
    host: Option<Arc<str>>,
}

impl<S> Admission<S> {
    pub(super) fn new(inner: S, callers: Option<Arc<Watched<Callers>>>, certificate: Option<PeerCertificate>) -> Self {
        Self {
            inner,
            callers,
            certificate,
            host: None,
        }
    }

    /// Where nobody else is known, whoever calls is this host.
    pub(super) fn for_host(self, host: Option<Arc<str>>) -> Self {
        Self { host, ..self }
    }

    fn admit(&self, request: &Request<Body>) -> Result<Option<Known>, Refusal> {
        let Some(callers) = &self.callers else {
            return Ok(self.host.clone().map(|name| Known {
                name,
                role: CallerRole::Provisioner,
            }));
        };
        let known = callers
            .current()
            .recognise(bearer(request), self.certificate.as_ref().map(|peer| &peer.0));
        match rule(request.uri().path()) {
            Some(Rule::Open) => Ok(known),
            Some(Rule::Caller(needed)) => match known {
                Some(known) if known.role >= needed => Ok(Some(known)),
                Some(known) => Err(Refusal::NotAllowed(known.name)),
                None => Err(Refusal::Unknown),
            },
            // Who may know that there is no such method is a caller. One that is served, but was forgotten here, stays shut.
            None => Err(if known.is_some() {
                Refusal::NoRule
            } else {
                Refusal::Unknown
            }),
        }
    }
}

fn bearer<B>(request: &Request<B>) -> Option<&[u8]> {
    let value = request.headers().get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, bearer) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(bearer.trim_ascii())
}

impl<S> Service<Request<Body>> for Admission<S>
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
        match self.admit(&request) {
            Ok(known) => {
                // What proved the caller goes no further than this.
                request.headers_mut().remove(header::AUTHORIZATION);
                let Some(Known { name, .. }) = known else {
                    return self.inner.call(request).boxed();
                };
                // Whatever is logged on the way says who called.
                let span = tracing::info_span!("call", caller = &*name, path = request.uri().path());
                request.extensions_mut().insert(Caller(name));
                self.inner.call(request).instrument(span).boxed()
            }
            Err(refusal) => {
                tracing::warn!(path = request.uri().path(), "a call was refused: {refusal}");
                ready(Ok(tonic::Status::from(refusal).into_http())).boxed()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::FILE_DESCRIPTOR_SET;
    use prost::Message;

    #[test]
    fn every_method_that_is_served_has_a_rule() {
        let ours = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let mut methods = 0;
        for file in ours.file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert!(rule(&path).is_some(), "{path} has no rule");
                    methods += 1;
                }
            }
        }
        assert!(methods >= 15, "{methods}");
    }

    #[test]
    fn only_a_provisioner_changes_anything_and_only_probes_are_open() {
        let provisioner = Some(Rule::Caller(CallerRole::Provisioner));
        for method in ["Grant", "Revoke"] {
            assert_eq!(
                rule(&format!("/c1.connector.v2.GrantManagerService/{method}")),
                provisioner
            );
        }
        assert_eq!(rule("/grpc.health.v1.Health/Check"), Some(Rule::Open));
        for path in [
            "/connector.health.v1.ScopeHealthService/CheckScopes",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(rule(path), Some(Rule::Caller(CallerRole::Reader)));
        }
        for path in [
            "",
            "/",
            "x",
            "/c1.connector.v2.GrantManagerService",
            "/c1.connector.v2.GrantManagerService/AddedLater",
            "/c1.connector.v2.EventService/ListEvents",
        ] {
            assert_eq!(rule(path), None, "{path}");
        }
    }
}
