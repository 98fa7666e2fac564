//! `ConnectorService`: what this connector is, whether its credential works, and the end of a sync.

use std::collections::BTreeSet;

use tonic::{Request, Response, Status, async_trait};

use super::Connector;
use crate::governance::actions::ActionInfo;
use crate::governance::model::{Catalog, LifecycleOperation, ResourceKind, ResourceTypeInfo};
use crate::governance::{AllowedChanges, Change};
use crate::proto::c1::connector::v2::connector_account_creation_schema::field::Field as Input;
use crate::proto::c1::connector::v2::connector_account_creation_schema::{Field, StringField, StringListField};
use crate::proto::c1::connector::v2::{
    Capability, CapabilityDetailCredentialOption, CapabilityPermission, CapabilityPermissions,
    ConnectorAccountCreationSchema, ConnectorCapabilities, ConnectorMetadata, ConnectorServiceCleanupRequest,
    ConnectorServiceCleanupResponse, ConnectorServiceGetMetadataRequest, ConnectorServiceGetMetadataResponse,
    ConnectorServiceValidateRequest, ConnectorServiceValidateResponse, CredentialDetails,
    CredentialDetailsAccountProvisioning, ResourceTypeCapability, connector_service_server::ConnectorService,
};
use crate::wire::{lifecycle, request, rows};

/// The protocol that is spoken. From 0.4.3 on a client sends the id of its sync, without which nothing can be read ahead.
const SDK_VERSION: &str = "0.25.0";

#[async_trait]
impl ConnectorService for Connector {
    async fn get_metadata(
        &self,
        request: Request<ConnectorServiceGetMetadataRequest>,
    ) -> Result<Response<ConnectorServiceGetMetadataResponse>, Status> {
        let governance = self.governance(&request)?;
        let metadata = ConnectorMetadata {
            display_name: "Buildkite".to_owned(),
            help_url: "https://buildkite.com/docs/platform/team-management/permissions".to_owned(),
            description: "Governs who is Member or Maintainer of which Buildkite team".to_owned(),
            capabilities: Some(capabilities(
                governance.listings().catalog(),
                &governance.settings().allowed,
                &governance.actions().offered("").collect::<Vec<_>>(),
            )),
            account_creation_schema: account_creation_schema(&governance.settings().allowed),
            ..Default::default()
        };
        Ok(Response::new(ConnectorServiceGetMetadataResponse {
            metadata: Some(metadata),
        }))
    }

    async fn validate(
        &self,
        request: Request<ConnectorServiceValidateRequest>,
    ) -> Result<Response<ConnectorServiceValidateResponse>, Status> {
        let governance = self.governance(&request)?;
        governance.health().validate(request::deadline(&request)).await?;
        Ok(Response::new(ConnectorServiceValidateResponse {
            annotations: vec![],
            sdk_version: SDK_VERSION.to_owned(),
        }))
    }

    async fn cleanup(
        &self,
        request: Request<ConnectorServiceCleanupRequest>,
    ) -> Result<Response<ConnectorServiceCleanupResponse>, Status> {
        self.governance(&request)?
            .listings()
            .end_sync(&request.get_ref().active_sync_id);
        Ok(Response::new(ConnectorServiceCleanupResponse::default()))
    }
}

/// What is offered now: by what `allowed` allows, and by the `actions` that it allows. The connector's own capabilities are those of
/// its types, and of actions that are about none of them.
pub(crate) fn capabilities(
    catalog: &Catalog,
    allowed: &AllowedChanges,
    actions: &[&'static ActionInfo],
) -> ConnectorCapabilities {
    // Sorted by type id and by number, as the protocol's own SDK does.
    let mut types = catalog.types().to_vec();
    types.sort_unstable_by_key(|resource_type| resource_type.id);
    let of_types = types
        .iter()
        .flat_map(|resource_type| offered(resource_type, allowed, actions));
    let has_actions = (!actions.is_empty()).then_some(Capability::Actions.into());
    let all: BTreeSet<i32> = of_types
        .chain([Capability::ServiceModeTargetedSync.into()])
        .chain(has_actions)
        .collect();
    ConnectorCapabilities {
        connector_capabilities: all.into_iter().collect(),
        resource_type_capabilities: types
            .into_iter()
            .map(|resource_type| capability(resource_type, allowed, actions))
            .collect(),
        credential_details: credential_details(allowed),
    }
}

/// The capabilities of a type, by number: every type is read; what else is offered depends on the allowed changes.
fn offered(
    resource_type: &ResourceTypeInfo,
    allowed: &AllowedChanges,
    actions: &[&'static ActionInfo],
) -> BTreeSet<i32> {
    let provisioned = resource_type.is_provisioned(allowed).then_some(Capability::Provision);
    let lifecycle = resource_type
        .allowed_lifecycle(allowed)
        .map(|offer| match offer.operation {
            LifecycleOperation::Invite => Capability::AccountProvisioning,
            LifecycleOperation::Create => Capability::ResourceCreate,
            LifecycleOperation::Delete => Capability::ResourceDelete,
        });
    let read = [Capability::Sync, Capability::TargetedSync];
    let has_actions = actions.iter().any(|action| is_about(action, resource_type));
    let actions = has_actions.then_some(Capability::Actions);
    let all = provisioned.into_iter().chain(read).chain(lifecycle).chain(actions);
    all.map(Into::into).collect()
}

fn is_about(action: &ActionInfo, resource_type: &ResourceTypeInfo) -> bool {
    action.resource_type.is_some_and(|of| of == resource_type)
}

fn capability(
    resource_type: &ResourceTypeInfo,
    allowed: &AllowedChanges,
    actions: &[&'static ActionInfo],
) -> ResourceTypeCapability {
    let write_scopes = if resource_type.is_provisioned(allowed) {
        resource_type.write_scopes
    } else {
        &[]
    };
    let lifecycle_scopes = resource_type.allowed_lifecycle(allowed).flat_map(|offer| offer.scopes);
    let own_actions = actions.iter().filter(|action| is_about(action, resource_type));
    let action_scopes = own_actions.flat_map(|action| action.scopes);
    let mut scopes: Vec<&str> = Vec::new();
    for scope in resource_type
        .read_scopes
        .iter()
        .chain(write_scopes)
        .chain(lifecycle_scopes)
        .chain(action_scopes)
    {
        if !scopes.contains(scope) {
            scopes.push(scope);
        }
    }
    let permissions = scopes.into_iter().map(|scope| CapabilityPermission {
        permission: scope.to_owned(),
    });
    ResourceTypeCapability {
        resource_type: Some(rows::resource_type(resource_type)),
        capabilities: offered(resource_type, allowed, actions).into_iter().collect(),
        permissions: Some(CapabilityPermissions {
            permissions: permissions.collect(),
        }),
        // An invitation that is accepted disappears, so that their number may fall to nothing.
        skip_sync_anomaly_detection: resource_type.kind == ResourceKind::PendingUser,
        ..Default::default()
    }
}

/// The credentials of a new account: an invited person gets none.
fn credential_details(allowed: &AllowedChanges) -> Option<CredentialDetails> {
    let no_password = CapabilityDetailCredentialOption::NoPassword.into();
    allowed.allows(Change::Invitations).then(|| CredentialDetails {
        capability_account_provisioning: Some(CredentialDetailsAccountProvisioning {
            supported_credential_options: vec![no_password],
            preferred_credential_option: no_password,
        }),
        capability_credential_rotation: None,
    })
}

/// The form of an invitation.
fn account_creation_schema(allowed: &AllowedChanges) -> Option<ConnectorAccountCreationSchema> {
    let field = |order, display_name: &str, description: &str, placeholder: &str, input| Field {
        display_name: display_name.to_owned(),
        required: order == 1,
        description: description.to_owned(),
        placeholder: placeholder.to_owned(),
        order,
        deprecated: false,
        field: Some(input),
    };
    let text = || Input::StringField(StringField::default());
    let fields = [
        (
            lifecycle::EMAIL,
            field(1, "E-mail", "The address that is invited", "ada@example.com", text()),
        ),
        (
            lifecycle::ROLE,
            field(
                2,
                "Role",
                "The role in the organization: member, or admin where the connector allows organization-roles",
                "member",
                text(),
            ),
        ),
        (
            lifecycle::TEAMS,
            field(
                3,
                "Teams",
                "The teams to join, each as slug or slug/maintainer, where the connector allows membership",
                "platform/maintainer",
                Input::StringListField(StringListField::default()),
            ),
        ),
        (
            lifecycle::SSO_MODE,
            field(
                4,
                "SSO mode",
                "required or optional; needed if the organization uses single sign-on, and only then",
                "required",
                text(),
            ),
        ),
    ];
    let fields = fields.map(|(name, field)| (name.to_owned(), field));
    allowed
        .allows(Change::Invitations)
        .then(|| ConnectorAccountCreationSchema {
            field_map: fields.into_iter().collect(),
        })
}
