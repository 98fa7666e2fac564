//! `TicketsService`: this connector has no tickets. The code is the one of the protocol's own server without ticketing.

use tonic::{Code, Request, Response, Status, async_trait};

use super::{Unoffered, not_offered};
use crate::proto::c1::connector::v2::tickets_service_server::TicketsService;
use crate::proto::c1::connector::v2::{
    TicketsServiceBulkCreateTicketsRequest, TicketsServiceBulkCreateTicketsResponse,
    TicketsServiceBulkGetTicketsRequest, TicketsServiceBulkGetTicketsResponse, TicketsServiceCreateTicketRequest,
    TicketsServiceCreateTicketResponse, TicketsServiceGetTicketRequest, TicketsServiceGetTicketResponse,
    TicketsServiceGetTicketSchemaRequest, TicketsServiceGetTicketSchemaResponse,
    TicketsServiceListTicketSchemasRequest, TicketsServiceListTicketSchemasResponse,
};

#[async_trait]
impl TicketsService for Unoffered {
    async fn create_ticket(
        &self,
        _: Request<TicketsServiceCreateTicketRequest>,
    ) -> Result<Response<TicketsServiceCreateTicketResponse>, Status> {
        Err(no_tickets())
    }

    async fn get_ticket(
        &self,
        _: Request<TicketsServiceGetTicketRequest>,
    ) -> Result<Response<TicketsServiceGetTicketResponse>, Status> {
        Err(no_tickets())
    }

    async fn list_ticket_schemas(
        &self,
        _: Request<TicketsServiceListTicketSchemasRequest>,
    ) -> Result<Response<TicketsServiceListTicketSchemasResponse>, Status> {
        Err(no_tickets())
    }

    async fn get_ticket_schema(
        &self,
        _: Request<TicketsServiceGetTicketSchemaRequest>,
    ) -> Result<Response<TicketsServiceGetTicketSchemaResponse>, Status> {
        Err(no_tickets())
    }

    async fn bulk_create_tickets(
        &self,
        _: Request<TicketsServiceBulkCreateTicketsRequest>,
    ) -> Result<Response<TicketsServiceBulkCreateTicketsResponse>, Status> {
        Err(no_tickets())
    }

    async fn bulk_get_tickets(
        &self,
        _: Request<TicketsServiceBulkGetTicketsRequest>,
    ) -> Result<Response<TicketsServiceBulkGetTicketsResponse>, Status> {
        Err(no_tickets())
    }
}

fn no_tickets() -> Status {
    not_offered(
        Code::Unknown,
        "this connector has no tickets: use the ticketing of the platform",
    )
}
