//! `AssetService`: there are no assets. The protocol's own server ends the stream without a message.

use tokio_stream::{Empty, empty};
use tonic::{Request, Response, Status, async_trait};

use super::Unoffered;
use crate::proto::c1::connector::v2::asset_service_server::AssetService;
use crate::proto::c1::connector::v2::{AssetServiceGetAssetRequest, AssetServiceGetAssetResponse};

#[async_trait]
impl AssetService for Unoffered {
    type GetAssetStream = Empty<Result<AssetServiceGetAssetResponse, Status>>;

    async fn get_asset(
        &self,
        _: Request<AssetServiceGetAssetRequest>,
    ) -> Result<Response<Self::GetAssetStream>, Status> {
        Ok(Response::new(empty()))
    }
}
