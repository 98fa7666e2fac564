//! What every go-plugin host calls on its plugin beside the plugin's own services.

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::proto::plugin::grpc_broker_server::{GrpcBroker, GrpcBrokerServer};
use crate::proto::plugin::grpc_controller_server::{GrpcController, GrpcControllerServer};
use crate::proto::plugin::grpc_stdio_server::{GrpcStdio, GrpcStdioServer};
use crate::proto::plugin::{ConnInfo, Empty, StdioData};

/// Adds them. `told` is cancelled where the host ends the plugin; the streams live until `ending`.
pub(super) fn add(routes: &mut RoutesBuilder, told: &CancellationToken, ending: &CancellationToken) {
    let host = Host {
        told: told.clone(),
        ending: ending.clone(),
    };
    routes
        .add_service(GrpcControllerServer::new(host.clone()))
        .add_service(GrpcStdioServer::new(host.clone()))
        .add_service(GrpcBrokerServer::new(host));
}

#[derive(Debug, Clone)]
struct Host {
    told: CancellationToken,
    ending: CancellationToken,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl GrpcController for Host {
    async fn shutdown(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        self.told.cancel();
        Ok(Response::new(Empty {}))
    }
}

#[async_trait]
impl GrpcStdio for Host {
    type StreamStdioStream = Answers<StdioData>;

    /// Standard output and standard error go to the host as they are, so there is nothing to send here.
    async fn stream_stdio(&self, _: Request<()>) -> Result<Response<Self::StreamStdioStream>, Status> {
        let nothing = stream::pending().take_until(self.ending.clone().cancelled_owned());
        Ok(Response::new(Box::pin(nothing)))
    }
}

#[async_trait]
impl GrpcBroker for Host {
    type StartStreamStream = Answers<ConnInfo>;

    /// This plugin opens no further connections; what the host offers is read and left.
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
