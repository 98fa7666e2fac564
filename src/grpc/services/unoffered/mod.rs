//! The services of the protocol that this connector does not offer. They respond as the protocol's own server does for a
//! connector without the feature (protocol reference, section 1), each with a sentence that says what is not offered, so that
//! a platform can distinguish a missing feature from a broken server.
//!
//! One file per service. A service that is offered one day leaves this folder and [`register`], and its row in
//! [`crate::grpc::methods`] says what health it needs.

mod assets;
mod credential_manager;
mod events;
mod tickets;

use tonic::service::RoutesBuilder;
use tonic::{Code, Status};

use super::{MESSAGE_SIZE, status_with_reason};
use crate::proto::c1::connector::v2::asset_service_server::AssetServiceServer;
use crate::proto::c1::connector::v2::credential_manager_service_server::CredentialManagerServiceServer;
use crate::proto::c1::connector::v2::event_service_server::EventServiceServer;
use crate::proto::c1::connector::v2::tickets_service_server::TicketsServiceServer;

/// Answers every call of the services that are not offered.
#[derive(Debug, Clone, Copy)]
struct Unoffered;

/// Adds the services to `routes`.
pub(crate) fn register(routes: &mut RoutesBuilder) {
    routes
        .add_service(AssetServiceServer::new(Unoffered).max_decoding_message_size(MESSAGE_SIZE))
        .add_service(CredentialManagerServiceServer::new(Unoffered).max_decoding_message_size(MESSAGE_SIZE))
        .add_service(EventServiceServer::new(Unoffered).max_decoding_message_size(MESSAGE_SIZE))
        .add_service(TicketsServiceServer::new(Unoffered).max_decoding_message_size(MESSAGE_SIZE));
}

/// The status of a call that this connector never carries out; `sentence` says what is not offered, and what to do instead.
fn not_offered(code: Code, sentence: &str) -> Status {
    status_with_reason(code, "NOT_OFFERED", sentence.to_owned(), None)
}
