//! Both versions of `grpc.reflection`. Reflection decodes every descriptor when it is created. That takes as long as much
//! of the start, and few clients call it, so each version is created at its first call.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic_reflection::server::{Builder, Error};
use tower::Service;

use super::MESSAGE_SIZE;
use crate::proto::FILE_DESCRIPTOR_SET;

/// Adds both versions to `routes`.
pub(crate) fn register(routes: &mut RoutesBuilder) {
    routes
        .add_service(OnDemand::new(|| {
            Ok(builder().build_v1()?.max_decoding_message_size(MESSAGE_SIZE))
        }))
        .add_service(OnDemand::new(|| {
            Ok(builder().build_v1alpha()?.max_decoding_message_size(MESSAGE_SIZE))
        }));
}

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// A service that is created at its first call.
#[derive(Clone)]
struct OnDemand<S> {
    create: fn() -> Result<S, Error>,
    created: Arc<OnceLock<Result<S, Error>>>,
}

impl<S> OnDemand<S> {
    fn new(create: fn() -> Result<S, Error>) -> Self {
        Self {
            create,
            created: Arc::default(),
        }
    }
}

impl<S: NamedService> NamedService for OnDemand<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for OnDemand<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Either<S::Future, Ready<Result<Response<Body>, Infallible>>>;

    /// A generated service is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self.created.get_or_init(self.create) {
            Ok(service) => Either::Left(service.clone().call(request)),
            Err(error) => {
                let status = Status::internal(format!("reflection could not be set up: {error}"));
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}
