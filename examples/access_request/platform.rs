//! What a platform does: it asks for everything, keeps it by id, and turns approvals into grants and revokes.

use std::collections::BTreeMap;

use buildkite_connector::proto::c1::connector::v2::connector_service_client::ConnectorServiceClient;
use buildkite_connector::proto::c1::connector::v2::entitlements_service_client::EntitlementsServiceClient;
use buildkite_connector::proto::c1::connector::v2::grant_manager_service_client::GrantManagerServiceClient;
use buildkite_connector::proto::c1::connector::v2::grants_service_client::GrantsServiceClient;
use buildkite_connector::proto::c1::connector::v2::resource_types_service_client::ResourceTypesServiceClient;
use buildkite_connector::proto::c1::connector::v2::resources_service_client::ResourcesServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    ConnectorServiceCleanupRequest, ConnectorServiceValidateRequest, Entitlement,
    EntitlementsServiceListEntitlementsRequest, Grant, GrantManagerServiceGrantRequest,
    GrantManagerServiceGrantResponse, GrantManagerServiceRevokeRequest, GrantManagerServiceRevokeResponse,
    GrantsServiceListGrantsRequest, Resource, ResourceTypesServiceListResourceTypesRequest,
    ResourcesServiceListResourcesRequest, UserTrait,
};
use indicatif::ProgressBar;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A sync's id: the same on every call of it, so that the connector can read ahead.
const SYNC: &str = "36OBrZrSTjAXXQvVUZbJuVSRrhE";

/// A platform, connected.
pub(crate) struct Platform {
    channel: Channel,
}

/// Everything that a sync found, by id.
#[derive(Default)]
pub(crate) struct Synced {
    pub(crate) people: BTreeMap<String, Resource>,
    pub(crate) teams: BTreeMap<String, Resource>,
    pub(crate) entitlements: BTreeMap<String, Entitlement>,
    pub(crate) grants: BTreeMap<String, Grant>,
}

impl Platform {
    pub(crate) async fn connect(address: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let channel = Endpoint::try_from(address.to_owned())?.connect().await?;
        Ok(Self { channel })
    }

    pub(crate) async fn validate(&self) -> Result<(), Status> {
        let mut connector = ConnectorServiceClient::new(self.channel.clone());
        connector.validate(ConnectorServiceValidateRequest::default()).await?;
        Ok(())
    }

    /// Asks for everything there is: types, resources, and of each team its entitlements and grants.
    pub(crate) async fn sync(&self, progress: &ProgressBar) -> Result<Synced, Status> {
        let mut synced = Synced::default();
        for kind in self.resource_types().await? {
            progress.set_message(format!("{kind}s"));
            let found = self.resources(&kind).await?;
            let found = found.into_iter().map(|row| (id_of(&row).to_owned(), row));
            match kind.as_str() {
                "team" => synced.teams.extend(found),
                _ => synced.people.extend(found),
            }
        }
        progress.set_length(synced.teams.len() as u64);
        for team in synced.teams.values() {
            progress.set_message(team.display_name.clone());
            let entitlements = self.entitlements(team).await?;
            let grants = self.grants(team).await?;
            synced
                .entitlements
                .extend(entitlements.into_iter().map(|row| (row.id.clone(), row)));
            synced
                .grants
                .extend(grants.into_iter().map(|row| (row.id.clone(), row)));
            progress.inc(1);
        }
        progress.finish_and_clear();
        self.cleanup().await?;
        Ok(synced)
    }

    pub(crate) async fn grant(
        &self,
        entitlement: &Entitlement,
        person: &Resource,
    ) -> Result<GrantManagerServiceGrantResponse, Status> {
        let request = GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement.clone()),
            principal: Some(person.clone()),
            ..Default::default()
        };
        let mut manager = GrantManagerServiceClient::new(self.channel.clone());
        Ok(manager.grant(request).await?.into_inner())
    }

    pub(crate) async fn revoke(
        &self,
        entitlement: &Entitlement,
        person: &Resource,
    ) -> Result<GrantManagerServiceRevokeResponse, Status> {
        let grant = Grant {
            id: format!("{}:user:{}", entitlement.id, id_of(person)),
            entitlement: Some(entitlement.clone()),
            principal: Some(person.clone()),
            ..Default::default()
        };
        let request = GrantManagerServiceRevokeRequest {
            grant: Some(grant),
            ..Default::default()
        };
        let mut manager = GrantManagerServiceClient::new(self.channel.clone());
        Ok(manager.revoke(request).await?.into_inner())
    }

    async fn resource_types(&self) -> Result<Vec<String>, Status> {
        let request = ResourceTypesServiceListResourceTypesRequest {
            active_sync_id: SYNC.to_owned(),
            ..Default::default()
        };
        let mut types = ResourceTypesServiceClient::new(self.channel.clone());
        let response = types.list_resource_types(request).await?.into_inner();
        Ok(response.list.into_iter().map(|kind| kind.id).collect())
    }

    async fn resources(&self, kind: &str) -> Result<Vec<Resource>, Status> {
        let mut resources = ResourcesServiceClient::new(self.channel.clone());
        let mut request = ResourcesServiceListResourcesRequest {
            resource_type_id: kind.to_owned(),
            active_sync_id: SYNC.to_owned(),
            ..Default::default()
        };
        let mut rows = vec![];
        loop {
            let page = resources.list_resources(request.clone()).await?.into_inner();
            rows.extend(page.list);
            if page.next_page_token.is_empty() {
                return Ok(rows);
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn entitlements(&self, team: &Resource) -> Result<Vec<Entitlement>, Status> {
        let mut entitlements = EntitlementsServiceClient::new(self.channel.clone());
        let mut request = EntitlementsServiceListEntitlementsRequest {
            resource: Some(team.clone()),
            active_sync_id: SYNC.to_owned(),
            ..Default::default()
        };
        let mut rows = vec![];
        loop {
            let page = entitlements.list_entitlements(request.clone()).await?.into_inner();
            rows.extend(page.list);
            if page.next_page_token.is_empty() {
                return Ok(rows);
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn grants(&self, team: &Resource) -> Result<Vec<Grant>, Status> {
        let mut grants = GrantsServiceClient::new(self.channel.clone());
        let mut request = GrantsServiceListGrantsRequest {
            resource: Some(team.clone()),
            active_sync_id: SYNC.to_owned(),
            ..Default::default()
        };
        let mut rows = vec![];
        loop {
            let page = grants.list_grants(request.clone()).await?.into_inner();
            rows.extend(page.list);
            if page.next_page_token.is_empty() {
                return Ok(rows);
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn cleanup(&self) -> Result<(), Status> {
        let request = ConnectorServiceCleanupRequest {
            active_sync_id: SYNC.to_owned(),
            ..Default::default()
        };
        let mut connector = ConnectorServiceClient::new(self.channel.clone());
        connector.cleanup(request).await?;
        Ok(())
    }
}

impl Synced {
    /// The first person of this name.
    pub(crate) fn person(&self, name: &str) -> Result<&Resource, String> {
        let mut people = self.people.values();
        people
            .find(|person| person.display_name == name)
            .ok_or_else(|| format!("nobody is called {name}"))
    }

    /// Their name, and their login where somebody else has the same name.
    pub(crate) fn label(&self, person: &Resource) -> String {
        let namesakes = |other: &&Resource| other.display_name == person.display_name;
        if self.people.values().filter(namesakes).count() == 1 {
            return person.display_name.clone();
        }
        let traits = person
            .annotations
            .iter()
            .filter_map(|any| any.to_msg::<UserTrait>().ok());
        let login = traits.map(|user| user.login).next().unwrap_or_default();
        format!("{} <{login}>", person.display_name)
    }

    /// A role in the team of this name.
    pub(crate) fn entitlement(&self, team: &str, role: &str) -> Result<&Entitlement, String> {
        let mut entitlements = self.entitlements.values();
        entitlements
            .find(|entitlement| {
                let named = entitlement.resource.as_ref().map(|team| team.display_name.as_str());
                entitlement.slug == role && named == Some(team)
            })
            .ok_or_else(|| format!("no team {team} has a {role}"))
    }

    /// Who holds this role in this team.
    pub(crate) fn holders(&self, team: &Resource, role: &str) -> Vec<&Resource> {
        let holder = |grant: &Grant| {
            let entitlement = grant.entitlement.as_ref()?;
            let of_team = entitlement.resource.as_ref().map(id_of) == Some(id_of(team));
            let principal = grant
                .principal
                .as_ref()
                .filter(|_| of_team && entitlement.slug == role)?;
            self.people.get(id_of(principal))
        };
        self.grants.values().filter_map(holder).collect()
    }
}

/// A resource's id, without its type.
pub(crate) fn id_of(resource: &Resource) -> &str {
    resource.id.as_ref().map_or("", |id| id.resource.as_str())
}
