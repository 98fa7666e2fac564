//! A channel whose calls all have the same metadata, such as a bearer token and a connection's name.

use std::task::{Context, Poll};

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::{Channel, Error};

/// The channel and the metadata.
#[derive(Clone)]
pub struct Caller {
    channel: Channel,
    metadata: HeaderMap,
}

impl From<Channel> for Caller {
    fn from(channel: Channel) -> Self {
        Self {
            channel,
            metadata: HeaderMap::new(),
        }
    }
}

impl From<&Channel> for Caller {
    fn from(channel: &Channel) -> Self {
        channel.clone().into()
    }
}

impl From<&Caller> for Caller {
    fn from(caller: &Caller) -> Self {
        caller.clone()
    }
}

impl Caller {
    /// With this entry as well.
    pub fn with(mut self, key: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.metadata.append(HeaderName::from_static(key), value);
        self
    }

    /// With this bearer token.
    pub fn bearer(self, token: &str) -> Self {
        self.with("authorization", &format!("Bearer {token}"))
    }

    /// About the connection with this name.
    pub fn about(self, connection: &str) -> Self {
        self.with("connector-connection", connection)
    }
}

impl Service<http::Request<Body>> for Caller {
    type Response = <Channel as Service<http::Request<Body>>>::Response;
    type Error = Error;
    type Future = <Channel as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request.headers_mut().extend(self.metadata.clone());
        self.channel.call(request)
    }
}
