//! Selects the connection that a call is about: by the metadata key `connector-connection`, or else the only one that the caller may
//! use. The services find it in the request's extensions.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use tracing::Instrument;

use super::authorization::Origin;
use super::caller_connections::CallerConnections;
use super::rejection::Rejection;
use crate::governance::connections::{Connection, ConnectionSet, Connections};
use crate::grpc::methods;
use crate::telemetry::metrics::ConnectionTag;

/// The metadata key of a connection's name.
pub(crate) const CONNECTION: &str = "connector-connection";

/// The largest number of names in an error: more would exceed what clients accept as metadata.
const MAX_NAMES: usize = 32;

/// The connection of a call.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    pub(crate) connection: Arc<Connection>,
    /// Whether there are others.
    pub(crate) is_one_of_several: bool,
}

/// Where the connection of a call is put for its metrics, once it is known.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallTag(Arc<OnceLock<ConnectionTag>>);

impl CallTag {
    pub(crate) fn get(&self) -> ConnectionTag {
        self.0.get().cloned().unwrap_or_default()
    }
}

/// Passes the call on with its connection, or rejects it.
pub(crate) async fn select(State(connections): State<Connections>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !methods::find(path).is_some_and(|(service, _)| service.concerns_connection) {
        return next.run(request).await;
    }
    let set = connections.current();
    let allowed = request.extensions().get::<Arc<CallerConnections>>();
    let connection = match choose(&set, request.headers(), allowed.map(|allowed| &**allowed)) {
        Ok(connection) => Arc::clone(connection),
        Err(rejection) => {
            tracing::warn!(path, "a call was refused: {rejection}");
            return tonic::Status::from(rejection).into_http();
        }
    };
    connections.mark_used(&connection);
    if let Some(tag) = request.extensions().get::<CallTag>() {
        // It is set once, here.
        let _ = tag.0.set(connection.tag());
    }
    let name = connection.name().cloned();
    if let Some(origin) = request.extensions_mut().get_mut::<Origin>()
        && let Some(reauthorization) = &mut origin.reauthorization
    {
        reauthorization.connection = Some((connections, Arc::clone(&connection)));
    }
    request.extensions_mut().insert(Selected {
        connection,
        is_one_of_several: set.are_several(),
    });
    match name {
        // Every log line of the call names its connection.
        Some(name) => {
            let span = tracing::info_span!("connection", connection = name.as_str());
            next.run(request).instrument(span).await
        }
        None => next.run(request).await,
    }
}

/// The connection that a call with these headers is about. `allowed` are those that its caller may use; `None` for all.
fn choose<'a>(
    set: &'a ConnectionSet,
    headers: &HeaderMap,
    allowed: Option<&CallerConnections>,
) -> Result<&'a Arc<Connection>, Rejection> {
    let may_use = |connection: &&Arc<Connection>| allowed.is_none_or(|allowed| allowed.may_use(connection, set));
    let mut named = headers.get_all(CONNECTION).iter();
    if let Some(named_first) = named.next() {
        let name = named_first.to_str().ok().filter(|_| named.next().is_none());
        let found = name.and_then(|name| name.parse().ok()).and_then(|name| set.get(&name));
        return found.filter(may_use).ok_or(Rejection::ConnectionNotAllowed);
    }
    if let Some(only) = set.only()
        && may_use(&only)
    {
        return Ok(only);
    }
    let mut usable = set.iter().filter(may_use);
    match (usable.next(), usable.next()) {
        (Some(only), None) => Ok(only),
        (first, second) => {
            let names = first.into_iter().chain(second).chain(usable);
            Err(Rejection::ConnectionRequired(listed(names)))
        }
    }
}

/// The names of `connections` in a sentence; the empty text for none.
fn listed<'a>(connections: impl Iterator<Item = &'a Arc<Connection>>) -> Arc<str> {
    let names: Vec<&str> = connections
        .filter_map(|connection| connection.name())
        .map(|name| name.as_str())
        .collect();
    let shown = names.iter().take(MAX_NAMES).map(|name| format!("`{name}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(MAX_NAMES) {
        Some(more) if more > 0 => format!("{shown} and {more} more").into(),
        _ => shown.into(),
    }
}
