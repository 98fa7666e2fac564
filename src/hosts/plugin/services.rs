//! The services that every go-plugin host calls on its plugin, beside those of the connector.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::proto::plugin::grpc_broker_server::{GrpcBroker, GrpcBrokerServer};
use crate::proto::plugin::grpc_controller_server::{GrpcController, GrpcControllerServer};
use crate::proto::plugin::grpc_stdio_server::{GrpcStdio, GrpcStdioServer};
use crate::proto::plugin::{ConnInfo, Empty, StdioData};

/// Adds the services. `shutdown` is cancelled when the host shuts the plugin down; the streams live until `ending`.
pub(super) fn add(routes: &mut RoutesBuilder, shutdown: &CancellationToken, ending: &CancellationToken) {
    let host = Host {
        shutdown: shutdown.clone(),
        ending: ending.clone(),
    };
    routes
        .add_service(GrpcControllerServer::new(host.clone()))
        .add_service(GrpcStdioServer::new(host.clone()))
        .add_service(GrpcBrokerServer::new(host));
}

#[derive(Debug, Clone)]
struct Host {
    shutdown: CancellationToken,
    ending: CancellationToken,
}

type ResponseStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl GrpcController for Host {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.shutdown.cancel();
        Ok(Response::new(Empty {}))
    }
}

#[async_trait]
impl GrpcStdio for Host {
    type StreamStdioStream = ResponseStream<StdioData>;

    /// The host reads standard output and standard error itself, so nothing is sent here.
    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        let nothing = stream::pending().take_until(self.ending.clone().cancelled_owned());
        Ok(Response::new(Box::pin(nothing)))
    }
}

#[async_trait]
impl GrpcBroker for Host {
    type StartStreamStream = ResponseStream<ConnInfo>;

    /// This plugin opens no further connections: offers of the host are read and ignored.
    async fn start_stream(
        &self,
        request: Request<Streaming<ConnInfo>>,
    ) -> Result<Response<Self::StartStreamStream>, Status> {
        let offers = request.into_inner().filter_map(async |offer| offer.err().map(Err));
        Ok(Response::new(Box::pin(
            offers.take_until(self.ending.clone().cancelled_owned()),
        )))
    }
}
