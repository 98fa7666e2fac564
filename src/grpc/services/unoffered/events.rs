//! `EventService`: there are no event feeds, so any feed is unknown.

use tonic::{Code, Request, Response, Status, async_trait};

use super::Unoffered;
use crate::grpc::services::status_with_reason;
use crate::proto::c1::connector::v2::event_service_server::EventService;
use crate::proto::c1::connector::v2::{
    ListEventFeedsRequest, ListEventFeedsResponse, ListEventsRequest, ListEventsResponse,
};

#[async_trait]
impl EventService for Unoffered {
    async fn list_events(&self, _: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        Err(status_with_reason(
            Code::NotFound,
            "EVENT_FEED_NOT_FOUND",
            "this connector offers no event feeds: changes are seen by the next sync".to_owned(),
            None,
        ))
    }

    async fn list_event_feeds(
        &self,
        _: Request<ListEventFeedsRequest>,
    ) -> Result<Response<ListEventFeedsResponse>, Status> {
        Ok(Response::new(ListEventFeedsResponse::default()))
    }
}
