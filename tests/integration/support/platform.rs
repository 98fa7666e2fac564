//! What a platform does: the calls of the real client, in its order, with the fields that it fills.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector::v2::entitlements_service_client::EntitlementsServiceClient;
use buildkite_connector::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::grants_service_client::GrantsServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_getter_service_client::ResourceGetterServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_types_service_client::ResourceTypesServiceClient;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    ConnectorServiceCleanupRequest, ConnectorServiceValidateRequest, ConnectorServiceValidateResponse, Entitlement,
    EntitlementsServiceListEntitlementsRequest, EntitlementsServiceListEntitlementsResponse,
    EntitlementsServiceListStaticEntitlementsRequest, Grant, GrantManagerServiceGrantRequest,
    GrantManagerServiceGrantResponse, GrantManagerServiceRevokeRequest, GrantManagerServiceRevokeResponse,
    GrantsServiceListGrantsRequest, GrantsServiceListGrantsResponse, Resource, ResourceGetterServiceGetResourceRequest,
    ResourceId, ResourceTypesServiceListResourceTypesRequest, ResourcesServiceListResourcesRequest,
    ResourcesServiceListResourcesResponse,
};
use tonic::{Request, Status};

use super::caller::Caller;

/// A 27-character sync id, as the client makes them.
pub const SYNC: &str = "2abcdefghijklmnopqrstuvwxyz";

/// Everything that a sync stored.
#[derive(Debug, Default)]
pub struct Synced {
    pub users: BTreeMap<String, Resource>,
    pub teams: BTreeMap<String, Resource>,
    pub entitlements: BTreeMap<String, Entitlement>,
    pub grants: BTreeMap<String, Grant>,
}

impl Synced {
    pub fn grant_ids(&self) -> BTreeSet<String> {
        self.grants.keys().cloned().collect()
    }
}

/// A platform on a channel.
#[derive(Clone)]
pub struct Platform {
    channel: Caller,
}

pub fn resource(kind: &str, id: &str) -> Resource {
    let id = ResourceId {
        resource_type: kind.to_owned(),
        resource: id.to_owned(),
        baton_resource: false,
    };
    Resource {
        id: Some(id),
        ..Default::default()
    }
}

pub fn id_of(resource: &Resource) -> String {
    resource.id.as_ref().unwrap().resource.clone()
}

pub fn entitlement(team: &str, role: &str) -> Entitlement {
    Entitlement {
        resource: Some(resource("team", team)),
        id: format!("team:{team}:{role}"),
        slug: role.to_owned(),
        ..Default::default()
    }
}

/// An entitlement with an id alone.
pub fn unknown_entitlement(id: &str) -> Entitlement {
    Entitlement {
        id: id.to_owned(),
        ..Default::default()
    }
}

impl Platform {
    pub fn new(channel: impl Into<Caller>) -> Self {
        Self {
            channel: channel.into(),
        }
    }

    /// For calls with metadata or a deadline.
    pub fn grants_client(&self) -> GrantManagerServiceClient<Caller> {
        GrantManagerServiceClient::new(self.channel.clone())
    }

    pub async fn grant_exactly(
        &self,
        entitlement: Entitlement,
        kind: &str,
        principal: &str,
    ) -> Result<GrantManagerServiceGrantResponse, Status> {
        let request = GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement),
            principal: Some(resource(kind, principal)),
            ..Default::default()
        };
        Ok(self.grants_client().grant(request).await?.into_inner())
    }

    pub async fn revoke_exactly(
        &self,
        entitlement: Entitlement,
        principal_type: &str,
        principal: &str,
    ) -> Result<GrantManagerServiceRevokeResponse, Status> {
        let grant = Grant {
            entitlement: Some(entitlement),
            principal: Some(resource(principal_type, principal)),
            ..Default::default()
        };
        let request = GrantManagerServiceRevokeRequest {
            grant: Some(grant),
            ..Default::default()
        };
        Ok(self.grants_client().revoke(request).await?.into_inner())
    }

    pub async fn validate(&self) -> Result<ConnectorServiceValidateResponse, Status> {
        let mut client = ConnectorServiceClient::new(self.channel.clone());
        Ok(client
            .validate(ConnectorServiceValidateRequest::default())
            .await?
            .into_inner())
    }

    pub async fn cleanup(&self, sync: &str) -> Result<(), Status> {
        let mut client = ConnectorServiceClient::new(self.channel.clone());
        let request = ConnectorServiceCleanupRequest {
            active_sync_id: sync.to_owned(),
            ..Default::default()
        };
        client.cleanup(request).await.map(|_| ())
    }

    pub async fn types(&self) -> Result<Vec<String>, Status> {
        let mut client = ResourceTypesServiceClient::new(self.channel.clone());
        let request = ResourceTypesServiceListResourceTypesRequest {
            active_sync_id: SYNC.into(),
            ..Default::default()
        };
        Ok(client
            .list_resource_types(request)
            .await?
            .into_inner()
            .list
            .into_iter()
            .map(|kind| kind.id)
            .collect())
    }

    pub async fn resources_page(
        &self,
        kind: &str,
        token: &str,
        sync: &str,
    ) -> Result<ResourcesServiceListResourcesResponse, Status> {
        let mut client = ResourcesServiceClient::new(self.channel.clone());
        let request = ResourcesServiceListResourcesRequest {
            resource_type_id: kind.to_owned(),
            page_token: token.to_owned(),
            active_sync_id: sync.to_owned(),
            ..Default::default()
        };
        Ok(client.list_resources(request).await?.into_inner())
    }

    /// One page of at most `size` resources.
    pub async fn resources_sized(
        &self,
        kind: &str,
        token: &str,
        sync: &str,
        size: u32,
    ) -> Result<ResourcesServiceListResourcesResponse, Status> {
        let mut client = ResourcesServiceClient::new(self.channel.clone());
        let request = ResourcesServiceListResourcesRequest {
            resource_type_id: kind.to_owned(),
            page_token: token.to_owned(),
            page_size: size,
            active_sync_id: sync.to_owned(),
            ..Default::default()
        };
        Ok(client.list_resources(request).await?.into_inner())
    }

    /// One page of at most `size` grants.
    pub async fn grants_sized(
        &self,
        resource: &Resource,
        token: &str,
        sync: &str,
        size: u32,
    ) -> Result<GrantsServiceListGrantsResponse, Status> {
        let mut client = GrantsServiceClient::new(self.channel.clone());
        let request = GrantsServiceListGrantsRequest {
            resource: Some(resource.clone()),
            page_token: token.to_owned(),
            page_size: size,
            active_sync_id: sync.to_owned(),
            ..Default::default()
        };
        Ok(client.list_grants(request).await?.into_inner())
    }

    /// One page of at most `size` entitlements.
    pub async fn entitlements_sized(
        &self,
        resource: &Resource,
        token: &str,
        size: u32,
    ) -> Result<EntitlementsServiceListEntitlementsResponse, Status> {
        let mut client = EntitlementsServiceClient::new(self.channel.clone());
        let request = EntitlementsServiceListEntitlementsRequest {
            resource: Some(resource.clone()),
            page_token: token.to_owned(),
            page_size: size,
            active_sync_id: SYNC.into(),
            ..Default::default()
        };
        Ok(client.list_entitlements(request).await?.into_inner())
    }

    pub async fn resources(&self, kind: &str) -> Result<Vec<Resource>, Status> {
        self.resources_in(SYNC, kind).await
    }

    pub async fn resources_in(&self, sync: &str, kind: &str) -> Result<Vec<Resource>, Status> {
        let (mut rows, mut token) = (vec![], String::new());
        loop {
            let page = self.resources_page(kind, &token, sync).await?;
            rows.extend(page.list);
            if page.next_page_token.is_empty() {
                return Ok(rows);
            }
            assert!(
                page.next_page_token != token,
                "a token that does not move loops the real client for ever"
            );
            token = page.next_page_token;
        }
    }

    pub async fn resource(&self, kind: &str, id: &str) -> Result<Resource, Status> {
        let mut client = ResourceGetterServiceClient::new(self.channel.clone());
        let resource_id = resource(kind, id).id;
        let request = ResourceGetterServiceGetResourceRequest {
            resource_id,
            ..Default::default()
        };
        Ok(client.get_resource(request).await?.into_inner().resource.unwrap())
    }

    pub async fn static_entitlements(&self, kind: &str) -> Result<Vec<Entitlement>, Status> {
        let mut client = EntitlementsServiceClient::new(self.channel.clone());
        let request = EntitlementsServiceListStaticEntitlementsRequest {
            resource_type_id: kind.to_owned(),
            active_sync_id: SYNC.into(),
            ..Default::default()
        };
        Ok(client.list_static_entitlements(request).await?.into_inner().list)
    }

    pub async fn entitlements(&self, resource: &Resource) -> Result<Vec<Entitlement>, Status> {
        let mut client = EntitlementsServiceClient::new(self.channel.clone());
        let request = EntitlementsServiceListEntitlementsRequest {
            resource: Some(resource.clone()),
            active_sync_id: SYNC.into(),
            ..Default::default()
        };
        Ok(client.list_entitlements(request).await?.into_inner().list)
    }

    pub async fn grants_page(
        &self,
        resource: &Resource,
        token: &str,
    ) -> Result<GrantsServiceListGrantsResponse, Status> {
        self.grants_page_in(SYNC, resource, token, None).await
    }

    async fn grants_page_in(
        &self,
        sync: &str,
        resource: &Resource,
        token: &str,
        timeout: Option<Duration>,
    ) -> Result<GrantsServiceListGrantsResponse, Status> {
        let mut client = GrantsServiceClient::new(self.channel.clone());
        let mut request = Request::new(GrantsServiceListGrantsRequest {
            resource: Some(resource.clone()),
            page_token: token.to_owned(),
            active_sync_id: sync.to_owned(),
            ..Default::default()
        });
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        Ok(client.list_grants(request).await?.into_inner())
    }

    pub async fn grants(&self, resource: &Resource) -> Result<Vec<Grant>, Status> {
        self.grants_in(SYNC, resource).await
    }

    /// The first page, by a client that stops waiting after a while.
    pub async fn grants_within(&self, timeout: Duration, resource: &Resource) -> Result<Vec<Grant>, Status> {
        let page = self.grants_page_in(SYNC, resource, "", Some(timeout)).await?;
        Ok(page.list)
    }

    pub async fn grants_in(&self, sync: &str, resource: &Resource) -> Result<Vec<Grant>, Status> {
        let (mut rows, mut token) = (vec![], String::new());
        loop {
            let page = self.grants_page_in(sync, resource, &token, None).await?;
            rows.extend(page.list);
            if page.next_page_token.is_empty() {
                return Ok(rows);
            }
            assert!(
                page.next_page_token != token,
                "a token that does not move loops the real client for ever"
            );
            token = page.next_page_token;
        }
    }

    /// A full sync in the real client's order: its work is a stack, so resources are visited in reverse.
    pub async fn sync(&self) -> Result<Synced, Status> {
        let mut synced = Synced::default();
        self.validate().await?;
        let types = self.types().await?;
        for kind in &types {
            let rows = self.resources(kind).await?;
            let stored = if kind == "user" {
                &mut synced.users
            } else {
                &mut synced.teams
            };
            stored.extend(rows.into_iter().map(|row| (id_of(&row), row)));
        }
        for kind in self.types().await? {
            assert_eq!(self.static_entitlements(&kind).await?, []);
        }
        for team in synced.teams.values().rev() {
            let rows = self.entitlements(team).await?;
            synced
                .entitlements
                .extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        for team in synced.teams.values().rev() {
            let rows = self.grants(team).await?;
            synced.grants.extend(rows.into_iter().map(|row| (row.id.clone(), row)));
        }
        self.cleanup(SYNC).await?;
        Ok(synced)
    }

    pub async fn grant(&self, team: &str, role: &str, user: &str) -> Result<GrantManagerServiceGrantResponse, Status> {
        let mut client = GrantManagerServiceClient::new(self.channel.clone());
        let request = GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement(team, role)),
            principal: Some(resource("user", user)),
            ..Default::default()
        };
        Ok(client.grant(request).await?.into_inner())
    }

    pub async fn revoke(
        &self,
        team: &str,
        role: &str,
        user: &str,
    ) -> Result<GrantManagerServiceRevokeResponse, Status> {
        let mut client = GrantManagerServiceClient::new(self.channel.clone());
        let grant = Grant {
            entitlement: Some(entitlement(team, role)),
            principal: Some(resource("user", user)),
            id: "\u{1f9f8}_UNKNOWN_GRANT_ID".to_owned(),
            ..Default::default()
        };
        let request = GrantManagerServiceRevokeRequest {
            grant: Some(grant),
            ..Default::default()
        };
        Ok(client.revoke(request).await?.into_inner())
    }
}
