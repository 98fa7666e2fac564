//! `c1.connector.v2` over gRPC. Each file is one service, which translates between the wire and [`crate::governance`].
//!
//! `crate::wire::rows` encodes rows, `crate::wire::status` errors, and `crate::wire::request` decodes requests.
//! `unoffered` responds for the services of the protocol that are not offered.

mod account_manager;
mod actions;
mod connector_service;
mod entitlements;
mod grant_manager;
mod grants;
pub mod health;
mod rate_limiter;
pub(crate) mod reflection;
mod resource_deleter;
mod resource_getter;
mod resource_manager;
mod resource_types;
mod resources;
mod unoffered;

use std::sync::Arc;

use tonic::service::RoutesBuilder;
use tonic::{Request, Status};

use crate::governance::Governance;
use crate::governance::connections::Connections;
use crate::grpc::middleware::rejection::Rejection;
use crate::grpc::middleware::selection::Selected;
use crate::proto::c1::connector::v2::account_manager_service_server::AccountManagerServiceServer;
use crate::proto::c1::connector::v2::action_service_server::ActionServiceServer;
use crate::proto::c1::connector::v2::connector_service_server::ConnectorServiceServer;
use crate::proto::c1::connector::v2::entitlements_service_server::EntitlementsServiceServer;
use crate::proto::c1::connector::v2::grant_manager_service_server::GrantManagerServiceServer;
use crate::proto::c1::connector::v2::grants_service_server::GrantsServiceServer;
use crate::proto::c1::connector::v2::resource_deleter_service_server::ResourceDeleterServiceServer;
use crate::proto::c1::connector::v2::resource_getter_service_server::ResourceGetterServiceServer;
use crate::proto::c1::connector::v2::resource_manager_service_server::ResourceManagerServiceServer;
use crate::proto::c1::connector::v2::resource_types_service_server::ResourceTypesServiceServer;
use crate::proto::c1::connector::v2::resources_service_server::ResourcesServiceServer;
use crate::proto::c1::ratelimit::v1::rate_limiter_service_server::RateLimiterServiceServer;

pub(crate) use connector_service::capabilities;

pub use crate::grpc::context::Caller;
pub use crate::wire::request::Deadline;
pub use crate::wire::status::{deadline_exceeded, status_with_reason};

/// Maximum size of a request: the largest page token of the protocol (section 6) with room for the rest. Real requests are a
/// few hundred bytes; the room lets an invalid request within the protocol get an error that explains it.
pub const MESSAGE_SIZE: usize = 2 * 1024 * 1024;

/// The services of the protocol, all on the same [`Connections`].
#[derive(Debug, Clone)]
pub struct Connector {
    connections: Connections,
}

impl Connector {
    /// A connector that serves from `connections`.
    #[must_use]
    pub fn new(connections: impl Into<Connections>) -> Self {
        Self {
            connections: connections.into(),
        }
    }

    /// The governance that `request` is about: of the connection that was selected for it, or, for a call within the process, of the
    /// only one.
    fn governance<T>(&self, request: &Request<T>) -> Result<Arc<Governance>, Status> {
        if let Some(selected) = request.extensions().get::<Selected>() {
            return Ok(Arc::clone(selected.connection.governance()));
        }
        let current = self.connections.current();
        let only = current.only().ok_or(Rejection::ConnectionNotAllowed)?;
        Ok(Arc::clone(only.governance()))
    }

    /// Adds every service of the protocol to `routes`, also those that are not offered.
    pub fn register(&self, routes: &mut RoutesBuilder) {
        routes
            .add_service(ConnectorServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ResourceTypesServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ResourcesServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ResourceGetterServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(EntitlementsServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(GrantsServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(GrantManagerServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(AccountManagerServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ResourceManagerServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ResourceDeleterServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(ActionServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE))
            .add_service(RateLimiterServiceServer::new(self.clone()).max_decoding_message_size(MESSAGE_SIZE));
        unoffered::register(routes);
    }
}
