//! The connector's own services, called in this process: the same code as behind a listener, without a socket.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::service::{Routes, RoutesBuilder};
use tower::Service;

use crate::governance::Governance;
use crate::grpc::services::{Caller, Connector};

/// The metadata key of a request's id.
const REQUEST_ID: &str = "x-request-id";

/// The services on one [`Governance`], for one caller.
#[derive(Clone)]
pub struct LocalConnector {
    routes: Routes,
    caller: Arc<str>,
}

impl LocalConnector {
    /// The services on `access`. Audit records name `caller`.
    #[must_use]
    pub fn new(access: &Arc<Governance>, caller: impl Into<Arc<str>>) -> Self {
        let mut routes = RoutesBuilder::default();
        Connector::new(Arc::clone(access)).register(&mut routes);
        Self {
            routes: routes.routes(),
            caller: caller.into(),
        }
    }

    /// A service for a generated client, whose calls have this request id.
    #[must_use]
    pub fn with_request_id(&self, id: &str) -> LocalService {
        LocalService {
            routes: self.routes.clone(),
            caller: Caller(Arc::clone(&self.caller)),
            request_id: HeaderValue::from_str(id).ok(),
        }
    }
}

impl fmt::Debug for LocalConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalConnector")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}

/// The transport of a generated client: calls go straight to the services.
#[derive(Clone, Debug)]
pub struct LocalService {
    routes: Routes,
    caller: Caller,
    request_id: Option<HeaderValue>,
}

impl Service<Request<Body>> for LocalService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <Routes as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Routes as Service<Request<Body>>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The process that started this one is the caller; no middleware runs here to determine it.
        request.extensions_mut().insert(self.caller.clone());
        if let Some(id) = &self.request_id {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
        self.routes.call(request)
    }
}
