//! `c1.ratelimit.v1.RateLimiterService`: a gate that some clients put before each call. It is open: what is scarce is
//! Buildkite's budget, and that is kept where it is spent.

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::proto::c1::ratelimit::v1::rate_limiter_service_server::RateLimiterService;
use crate::proto::c1::ratelimit::v1::{
    DoRequest, DoResponse, RateLimitDescription, ReportRequest, ReportResponse, rate_limit_description,
};

#[async_trait]
impl RateLimiterService for Connector {
    async fn r#do(&self, request: Request<DoRequest>) -> Result<Response<DoResponse>, Status> {
        let status = rate_limit_description::Status::Empty.into();
        Ok(Response::new(DoResponse {
            request_token: request.into_inner().request_token,
            description: Some(RateLimitDescription {
                status,
                ..Default::default()
            }),
        }))
    }

    async fn report(&self, _: Request<ReportRequest>) -> Result<Response<ReportResponse>, Status> {
        Ok(Response::new(ReportResponse {}))
    }
}
