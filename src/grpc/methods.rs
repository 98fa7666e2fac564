//! The one table of what is served: every method with who may call it and its class, every service with the health it needs.
//!
//! Authorization, limits, deadlines, the labels of metrics and the services of `grpc.health.v1` all follow from it. A method
//! without a row is denied. Roles count where callers are known: without a file of callers, any caller has every role (see
//! `middleware/authorization.rs`). To serve another service, add its rows here and register it in [`super::services`].

use super::middleware::callers::CallerRole;
use crate::governance::health::Feature;
use crate::governance::model::LifecycleOperation;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone, without authentication: health probes.
    Public,
    /// Callers of at least this role.
    Role(CallerRole),
    /// The host that started this process. No caller of a server.
    Host,
}

/// How a method is limited and timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodClass {
    /// Answered from memory; a supervisor judges the process by it. Never rejected for load.
    HealthCheck,
    /// A health check that stays open.
    HealthWatch,
    /// A stream that stays open for as long as its caller likes. Has no deadline.
    Streaming,
    /// Every other method: it ends on its own, and has a deadline.
    Unary,
}

impl MethodClass {
    /// Whether a call lasts until its caller ends it, so that it has no deadline and no duration worth recording.
    #[must_use]
    pub fn is_open_ended(self) -> bool {
        matches!(self, Self::HealthWatch | Self::Streaming)
    }

    /// Whether it is one of `grpc.health.v1`.
    #[must_use]
    pub fn is_probe(self) -> bool {
        matches!(self, Self::HealthCheck | Self::HealthWatch)
    }
}

/// What `grpc.health.v1` reports of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceHealth {
    /// Nothing: the service is not listed.
    Unlisted,
    /// Always `SERVING`: the service needs nothing of the provider.
    Always,
    /// `SERVING` while all checks are operational. Problems that concern only changes do not count.
    Reads,
    /// `SERVING` while this feature can be used.
    Needs(Feature),
    /// `SERVING` while the scopes of those of these operations that the settings allow can be used; `NOT_SERVING` if they allow none.
    Lifecycle(&'static [LifecycleOperation]),
    /// `SERVING` while the scopes of the actions that the settings allow can be used; `NOT_SERVING` if they allow none.
    Actions,
    /// Always `NOT_SERVING`: the protocol has the service, and this connector does not offer it.
    NotOffered,
}

/// A service and its methods.
#[derive(Debug)]
pub struct Service {
    /// The full name, with the package.
    pub name: &'static str,
    /// What its health follows from.
    pub health: ServiceHealth,
    /// Whether its calls count towards a caller's rate. Those of probes and of the rate limiter itself do not.
    pub rate_limited: bool,
    /// Whether its calls are about one connection, which is then selected for them.
    pub concerns_connection: bool,
    /// The methods.
    pub methods: &'static [Method],
}

/// A method of a service.
#[derive(Debug)]
pub struct Method {
    /// The name, without the service.
    pub name: &'static str,
    /// Who may call it.
    pub access: Access,
    /// Its class.
    pub class: MethodClass,
}

const READER: Access = Access::Role(CallerRole::Reader);

/// A unary method for every caller.
const fn read(name: &'static str) -> Method {
    Method {
        name,
        access: READER,
        class: MethodClass::Unary,
    }
}

/// A unary method that changes something.
const fn change(name: &'static str) -> Method {
    Method {
        name,
        access: Access::Role(CallerRole::Provisioner),
        class: MethodClass::Unary,
    }
}

/// A stream for every caller.
const fn stream(name: &'static str) -> Method {
    Method {
        name,
        access: READER,
        class: MethodClass::Streaming,
    }
}

/// A method of `grpc.health.v1`.
const fn probe(name: &'static str, class: MethodClass) -> Method {
    Method {
        name,
        access: Access::Public,
        class,
    }
}

/// A service that this connector offers.
const fn offered(name: &'static str, health: ServiceHealth, methods: &'static [Method]) -> Service {
    Service {
        name,
        health,
        rate_limited: true,
        concerns_connection: true,
        methods,
    }
}

/// A service that this connector does not offer.
const fn not_offered(name: &'static str, methods: &'static [Method]) -> Service {
    Service {
        name,
        health: ServiceHealth::NotOffered,
        rate_limited: true,
        concerns_connection: false,
        methods,
    }
}

/// A service beside the protocol's, which health does not list.
const fn unlisted(name: &'static str, rate_limited: bool, methods: &'static [Method]) -> Service {
    Service {
        name,
        health: ServiceHealth::Unlisted,
        rate_limited,
        concerns_connection: false,
        methods,
    }
}

/// A method for the host that started this process.
const fn host(name: &'static str, class: MethodClass) -> Method {
    Method {
        name,
        access: Access::Host,
        class,
    }
}

/// The services that a go-plugin host calls on every plugin, beside [`SERVICES`]. Only `plugin` serves them.
pub const PLUGIN_SERVICES: &[Service] = &[
    unlisted(
        "plugin.GRPCBroker",
        false,
        &[host("StartStream", MethodClass::Streaming)],
    ),
    unlisted("plugin.GRPCController", false, &[host("Shutdown", MethodClass::Unary)]),
    unlisted(
        "plugin.GRPCStdio",
        false,
        &[host("StreamStdio", MethodClass::Streaming)],
    ),
];

/// The table.
pub const SERVICES: &[Service] = &[
    offered(
        "c1.connector.v2.ConnectorService",
        ServiceHealth::Reads,
        &[read("GetMetadata"), read("Validate"), read("Cleanup")],
    ),
    offered(
        "c1.connector.v2.ResourceTypesService",
        ServiceHealth::Always,
        &[read("ListResourceTypes")],
    ),
    offered(
        "c1.connector.v2.ResourcesService",
        ServiceHealth::Needs(Feature::Resources),
        &[read("ListResources")],
    ),
    offered(
        "c1.connector.v2.ResourceGetterService",
        ServiceHealth::Needs(Feature::Resources),
        &[read("GetResource")],
    ),
    offered(
        "c1.connector.v2.EntitlementsService",
        ServiceHealth::Always,
        &[read("ListEntitlements"), read("ListStaticEntitlements")],
    ),
    offered(
        "c1.connector.v2.GrantsService",
        ServiceHealth::Needs(Feature::Grants),
        &[read("ListGrants")],
    ),
    offered(
        "c1.connector.v2.GrantManagerService",
        ServiceHealth::Needs(Feature::Provisioning),
        &[change("Grant"), change("Revoke")],
    ),
    offered(
        "c1.connector.v2.AccountManagerService",
        ServiceHealth::Lifecycle(&[LifecycleOperation::Invite]),
        &[change("CreateAccount")],
    ),
    // An action itself says whether readers may invoke it.
    offered(
        "c1.connector.v2.ActionService",
        ServiceHealth::Actions,
        &[
            read("InvokeAction"),
            read("GetActionStatus"),
            read("GetActionSchema"),
            read("ListActionSchemas"),
        ],
    ),
    // Its stream ends at once, so it is limited like a unary method.
    not_offered("c1.connector.v2.AssetService", &[read("GetAsset")]),
    not_offered(
        "c1.connector.v2.CredentialManagerService",
        &[change("RotateCredential"), change("IssueCredential")],
    ),
    not_offered(
        "c1.connector.v2.EventService",
        &[read("ListEvents"), read("ListEventFeeds")],
    ),
    offered(
        "c1.connector.v2.ResourceDeleterService",
        ServiceHealth::Lifecycle(&[LifecycleOperation::Delete]),
        &[change("DeleteResourceV2")],
    ),
    offered(
        "c1.connector.v2.ResourceManagerService",
        ServiceHealth::Lifecycle(&[LifecycleOperation::Create, LifecycleOperation::Delete]),
        &[change("CreateResource"), change("DeleteResource")],
    ),
    not_offered(
        "c1.connector.v2.TicketsService",
        &[
            change("CreateTicket"),
            change("BulkCreateTickets"),
            read("GetTicket"),
            read("BulkGetTickets"),
            read("GetTicketSchema"),
            read("ListTicketSchemas"),
        ],
    ),
    unlisted(
        "c1.ratelimit.v1.RateLimiterService",
        false,
        &[read("Do"), read("Report")],
    ),
    Service {
        concerns_connection: true,
        ..unlisted(
            "connector.health.v1.ScopeHealthService",
            true,
            &[read("CheckScopes"), stream("WatchScopes")],
        )
    },
    unlisted(
        "grpc.health.v1.Health",
        false,
        &[
            probe("Check", MethodClass::HealthCheck),
            probe("Watch", MethodClass::HealthWatch),
        ],
    ),
    unlisted(
        "grpc.reflection.v1.ServerReflection",
        true,
        &[stream("ServerReflectionInfo")],
    ),
    unlisted(
        "grpc.reflection.v1alpha.ServerReflection",
        true,
        &[stream("ServerReflectionInfo")],
    ),
];

/// The row of a method, by the path of its requests. `None` for a method that is not served, which nobody may call.
#[must_use]
pub fn find(path: &str) -> Option<(&'static Service, &'static Method)> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let mut services = SERVICES.iter().chain(PLUGIN_SERVICES);
    let service = services.find(|row| row.name == service)?;
    let method = service.methods.iter().find(|row| row.name == method)?;
    Some((service, method))
}

/// The class of a method, by the path of its requests.
#[must_use]
pub fn class(path: &str) -> MethodClass {
    find(path).map_or(MethodClass::Unary, |(_, method)| method.class)
}

#[cfg(test)]
mod tests;
