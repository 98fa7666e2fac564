//! Calls to any method, with the metadata of a caller.

use buildkite_connector::sandbox::Sandbox;
use futures::StreamExt;
use http::uri::PathAndQuery;
use secrecy::ExposeSecret;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

use crate::support::Caller;

/// The sandbox's token in a file, and the directory that holds it.
pub fn write_token(sandbox: &Sandbox) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, sandbox.token().expose_secret()).unwrap();
    (directory, path)
}

/// The metadata of a caller with this bearer token.
pub fn bearer(token: &str) -> MetadataMap {
    let mut metadata = MetadataMap::new();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata
}

/// Calls any method with an empty message: the first response, or the status.
pub async fn call(channel: impl Into<Caller>, path: &str, metadata: &MetadataMap) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel.into());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(());
    *request.metadata_mut() = metadata.clone();
    let codec: ProstCodec<(), ()> = ProstCodec::default();
    let path = PathAndQuery::try_from(path.to_owned()).unwrap();
    let mut answers = grpc.server_streaming(request, path, codec).await?.into_inner();
    answers.next().await.transpose().map(|_| ())
}

/// The reason of a status of the connector; empty for any other status.
pub fn reason_of(status: &Status) -> String {
    let info = status.get_error_details().error_info().cloned();
    info.filter(|info| info.domain == "buildkite-connector")
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// Whether a call was admitted, or the reason of its rejection.
pub fn received(answer: &Result<(), Status>) -> String {
    match answer {
        Ok(()) => "admitted".to_owned(),
        Err(status) => match reason_of(status) {
            reason if reason.starts_with("CALLER_") => reason,
            reason if reason.is_empty() && status.code() == Code::Unimplemented => "unimplemented".to_owned(),
            _ => "admitted".to_owned(),
        },
    }
}
