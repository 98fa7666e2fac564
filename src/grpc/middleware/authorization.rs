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

use super::callers::{CallerRole, Callers, Identity, digest_of};
use super::connections::{ActiveCall, Connection};
use super::limits::Kind;
use super::reauthorization::Reauthorization;
use super::rejection::Refusal;
use crate::grpc::services::Caller;
use crate::reload::Reloadable;

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
        "c1.connector.v2.GrantManagerService/Grant"
        | "c1.connector.v2.GrantManagerService/Revoke"
        | "c1.connector.v2.ResourceManagerService/CreateResource"
        | "c1.connector.v2.ResourceManagerService/DeleteResource"
        | "c1.connector.v2.ResourceDeleterService/DeleteResourceV2"
        | "c1.connector.v2.AccountManagerService/CreateAccount"
        | "c1.connector.v2.CredentialManagerService/RotateCredential"
        | "c1.connector.v2.CredentialManagerService/IssueCredential"
        | "c1.connector.v2.ActionService/InvokeAction"
        | "c1.connector.v2.TicketsService/CreateTicket"
        | "c1.connector.v2.TicketsService/BulkCreateTickets" => Some(Rule::Caller(CallerRole::Provisioner)),
        "c1.connector.v2.ConnectorService/GetMetadata"
        | "c1.connector.v2.ConnectorService/Validate"
        | "c1.connector.v2.ConnectorService/Cleanup"
        | "c1.connector.v2.ResourceTypesService/ListResourceTypes"
        | "c1.connector.v2.ResourcesService/ListResources"
        | "c1.connector.v2.ResourceGetterService/GetResource"
        | "c1.connector.v2.EntitlementsService/ListEntitlements"
        | "c1.connector.v2.EntitlementsService/ListStaticEntitlements"
        | "c1.connector.v2.GrantsService/ListGrants"
        | "c1.connector.v2.ActionService/GetActionStatus"
        | "c1.connector.v2.ActionService/GetActionSchema"
        | "c1.connector.v2.ActionService/ListActionSchemas"
        | "c1.connector.v2.EventService/ListEvents"
        | "c1.connector.v2.EventService/ListEventFeeds"
        | "c1.connector.v2.TicketsService/GetTicket"
        | "c1.connector.v2.TicketsService/ListTicketSchemas"
        | "c1.connector.v2.TicketsService/GetTicketSchema"
        | "c1.connector.v2.TicketsService/BulkGetTickets"
        | "c1.connector.v2.AssetService/GetAsset"
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
pub(crate) struct PeerCertificate(pub(crate) CertificateDer<'static>);

/// Where a call comes from, for what bounds it.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The caller's name in the callers file; none for a stranger, and none without a file.
    pub(crate) caller: Option<Arc<str>>,
    /// The connection that the call arrived on.
    pub(crate) connection: Arc<Connection>,
    /// Keeps the connection from being evicted; none for a stranger's probe.
    pub(crate) active_call: Option<ActiveCall>,
    /// How a caller's stream is authorized again; none for what ends on its own.
    pub(crate) reauthorization: Option<Reauthorization>,
}

/// The service that lets callers through to the one inside.
#[derive(Debug, Clone)]
pub(crate) struct Admission<S> {
    inner: S,
    callers: Option<Arc<Reloadable<Callers>>>,
    certificate: Option<PeerCertificate>,
    connection: Arc<Connection>,
    host: Option<Arc<str>>,
}

impl<S> Admission<S> {
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

    /// Where no callers file is there, whoever calls is this host.
    pub(crate) fn for_host(self, host: Option<Arc<str>>) -> Self {
        Self { host, ..self }
    }

    fn admit(&self, request: &Request<Body>) -> Result<(Origin, Option<Identity>), Refusal> {
        let path = request.uri().path();
        let Some(callers) = &self.callers else {
            let is_probe = matches!(Kind::of(path), Kind::Probe | Kind::Watch);
            let active_call = (!is_probe).then(|| self.connection.begin_call());
            let host = self.host.clone().map(|name| Identity {
                name,
                role: CallerRole::Provisioner,
            });
            return Ok((self.origin(None, active_call), host));
        };
        let bearer = bearer(request).map(digest_of);
        let known = callers
            .current()
            .recognise_digest(bearer, self.certificate.as_ref().map(|peer| &peer.0));
        // A caller that is refused is a caller all the same.
        let active_call = known.is_some().then(|| self.connection.begin_call());
        let known = authorize(known, path)?;
        let mut origin = self.origin(known.as_ref().map(|known| Arc::clone(&known.name)), active_call);
        if known.is_some() && matches!(Kind::of(path), Kind::Watch | Kind::Stream) {
            origin.reauthorization = Some(Reauthorization {
                callers: Arc::clone(callers),
                bearer,
                certificate: self.certificate.clone(),
                path: path.into(),
            });
        }
        Ok((origin, known))
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

/// Checks that a method may be called by `known`; a stranger where there is none.
///
/// # Errors
/// Why it may not.
pub(crate) fn authorize(known: Option<Identity>, path: &str) -> Result<Option<Identity>, Refusal> {
    match rule(path) {
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
            Ok((origin, known)) => {
                // What proved the caller goes no further than this.
                request.headers_mut().remove(header::AUTHORIZATION);
                request.extensions_mut().insert(origin);
                let Some(Identity { name, .. }) = known else {
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
        assert!(methods >= 30, "{methods}");
    }

    #[test]
    fn only_a_provisioner_changes_anything_and_only_probes_are_open() {
        let provisioner = Some(Rule::Caller(CallerRole::Provisioner));
        for method in [
            "GrantManagerService/Grant",
            "GrantManagerService/Revoke",
            "AccountManagerService/CreateAccount",
            "ActionService/InvokeAction",
            "ResourceManagerService/DeleteResource",
        ] {
            assert_eq!(rule(&format!("/c1.connector.v2.{method}")), provisioner, "{method}");
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
            "/c1.connector.v2.SchemaService/ListSchemas",
        ] {
            assert_eq!(rule(path), None, "{path}");
        }
    }
}
