//! What a platform is shown of each type.

use std::collections::BTreeMap;

use buildkite_connector::proto::c1::connector::v2::resource_types_service_client::ResourceTypesServiceClient;
use buildkite_connector::proto::c1::connector::v2::{
    EntitlementExclusionGroup, EntitlementImmutable, ExternalLink, GrantExpandable, GrantImmutable, Resource,
    ResourceTypesServiceListResourceTypesRequest, SkipEntitlementsAndGrants, SkipSyncAnomalyDetection, UserTrait,
    resource_type, status, user_trait,
};
use buildkite_connector::sandbox::{Maintainer, OrganizationRole, Registry, Sandbox};
use prost::Name;
use prost_types::{Any, value::Kind};

use crate::support::platform::id_of;
use crate::support::{ObjectList, Platform, covering_all, resource, sandbox, sized};

fn decoded<M: Name + Default>(annotations: &[Any]) -> Option<M> {
    let found = annotations.iter().find(|any| any.type_url == M::type_url())?;
    Some(found.to_msg().unwrap())
}

fn profile(row: &Resource) -> BTreeMap<String, String> {
    let fields = row.profile.clone().unwrap_or_default().fields.into_iter();
    let text = |kind: Option<Kind>| match kind {
        Some(Kind::StringValue(text)) => text,
        Some(Kind::BoolValue(value)) => value.to_string(),
        other => panic!("{other:?}"),
    };
    fields.map(|(name, value)| (name, text(value.kind))).collect()
}

fn link(row: &Resource) -> String {
    decoded::<ExternalLink>(&row.annotations).unwrap().url
}

/// The only resource of a type.
async fn only(platform: &Platform, kind: &str) -> Resource {
    let mut rows = platform.resources(kind).await.unwrap();
    assert_eq!(rows.len(), 1, "{kind}");
    rows.remove(0)
}

fn team_and_user(sandbox: &Sandbox) -> (String, String) {
    sandbox.with_organization(|organization| {
        let team = organization.teams().first().unwrap().id.to_string();
        (team, organization.people().last().unwrap().id.to_string())
    })
}

#[tokio::test]
async fn the_types_are_listed_with_their_traits() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (server, platform) = covering_all(&sandbox).await;
    let ids = [
        "user",
        "team",
        "organization",
        "pipeline",
        "suite",
        "registry",
        "cluster",
        "invitation",
    ];
    assert_eq!(platform.types().await.unwrap(), ids);
    let mut client = ResourceTypesServiceClient::new(server.channel().await);
    let request = ResourceTypesServiceListResourceTypesRequest::default();
    let types = client.list_resource_types(request).await.unwrap().into_inner().list;
    let invitation = types.iter().find(|listed| listed.id == "invitation").unwrap();
    assert_eq!(invitation.traits, [i32::from(resource_type::Trait::User)]);
    assert!(decoded::<SkipSyncAnomalyDetection>(&invitation.annotations).is_some());
    assert!(decoded::<SkipEntitlementsAndGrants>(&invitation.annotations).is_some());
    for listed in types
        .iter()
        .filter(|listed| !["user", "team", "invitation"].contains(&listed.id.as_str()))
    {
        assert_eq!(
            (listed.traits.as_slice(), listed.annotations.as_slice()),
            (&[][..], &[][..]),
            "{}",
            listed.id
        );
    }
}

#[tokio::test]
async fn the_organization_is_one_resource_and_its_people_hold_its_roles() {
    let sandbox = sandbox(sized(1, 1, 3)).await;
    let (_server, platform) = covering_all(&sandbox).await;
    platform.resources("user").await.unwrap();
    let organization = only(&platform, "organization").await;
    let id = id_of(&organization);
    assert_eq!(
        profile(&organization),
        BTreeMap::from([("slug".to_owned(), "sized".to_owned())])
    );
    assert_eq!(platform.resource("organization", &id).await.unwrap(), organization);
    let entitlements = platform.entitlements(&organization).await.unwrap();
    let ids: Vec<&str> = entitlements.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(
        ids,
        [format!("organization:{id}:member"), format!("organization:{id}:admin")]
    );
    for (row, order) in entitlements.iter().zip(1..) {
        let group: EntitlementExclusionGroup = decoded(&row.annotations).unwrap();
        assert_eq!(
            (group.exclusion_group_id, group.order),
            (format!("organization:{id}"), order)
        );
        let grantable: Vec<&str> = row.grantable_to.iter().map(|principal| principal.id.as_str()).collect();
        assert_eq!(grantable, ["user"]);
    }
    let mut held: Vec<String> = platform
        .grants(&organization)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.id)
        .collect();
    held.sort_unstable();
    let mut expected = sandbox.with_organization(|organization| {
        let people = organization.people().iter();
        let role = |role| match role {
            OrganizationRole::Admin => "admin",
            OrganizationRole::Member => "member",
        };
        people
            .map(|person| format!("organization:{id}:{}:user:{}", role(person.role), person.id))
            .collect::<Vec<_>>()
    });
    expected.sort_unstable();
    assert_eq!(held, expected);
}

#[tokio::test]
async fn a_pipeline_and_a_suite_offer_their_levels_to_teams() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    sandbox.edit(|organization| {
        ObjectList::Pipelines.add(organization, "deploy");
        ObjectList::Suites.add(organization, "rspec");
    });
    let (_server, platform) = covering_all(&sandbox).await;
    let pipeline = only(&platform, "pipeline").await;
    let shown = profile(&pipeline);
    assert_eq!(shown.get("slug").unwrap(), "deploy");
    assert_eq!(shown.get("repository").unwrap(), "git.example.com/source/deploy.git");
    assert_eq!(shown.get("archived").unwrap(), "false");
    assert_eq!(link(&pipeline), "https://buildkite.com/sized/deploy");
    let suite = only(&platform, "suite").await;
    assert_eq!(profile(&suite).get("default_branch").unwrap(), "main");
    assert_eq!(
        link(&suite),
        "https://buildkite.com/organizations/sized/analytics/suites/rspec"
    );
    let levels = [
        (&pipeline, vec!["read_only", "build_and_read", "manage_build_and_read"]),
        (&suite, vec!["read", "edit"]),
    ];
    for (object, slugs) in levels {
        let entitlements = platform.entitlements(object).await.unwrap();
        let offered: Vec<&str> = entitlements.iter().map(|row| row.slug.as_str()).collect();
        assert_eq!(offered, slugs);
        for (row, order) in entitlements.iter().zip(1..) {
            let group: EntitlementExclusionGroup = decoded(&row.annotations).unwrap();
            assert_eq!(group.order, order);
            assert!(decoded::<EntitlementImmutable>(&row.annotations).is_none());
            let grantable: Vec<&str> = row.grantable_to.iter().map(|principal| principal.id.as_str()).collect();
            assert_eq!(grantable, ["team"]);
        }
    }
}

#[tokio::test]
async fn a_registry_offers_access_that_nothing_here_changes_to_the_teams_of_its_row() {
    let sandbox = sandbox(sized(2, 1, 2)).await;
    let team = sandbox.edit(|organization| {
        let team = organization.teams().first().unwrap().id;
        let mut registry = Registry::new("gems", "Gems", "ruby");
        registry.teams = vec![team];
        organization.add_registry(registry);
        team
    });
    let (_server, platform) = covering_all(&sandbox).await;
    platform.resources("team").await.unwrap();
    let registry = only(&platform, "registry").await;
    let id = id_of(&registry);
    assert_eq!(profile(&registry).get("ecosystem").unwrap(), "ruby");
    assert_eq!(
        link(&registry),
        "https://buildkite.com/organizations/sized/packages/registries/gems"
    );
    let entitlements = platform.entitlements(&registry).await.unwrap();
    assert_eq!(entitlements.len(), 1);
    let access = entitlements.first().unwrap();
    assert_eq!(access.id, format!("registry:{id}:access"));
    assert!(decoded::<EntitlementImmutable>(&access.annotations).is_some());
    let grants = platform.grants(&registry).await.unwrap();
    let ids: Vec<&str> = grants.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, [format!("registry:{id}:access:team:{team}")]);
    let annotations = &grants.first().unwrap().annotations;
    assert!(decoded::<GrantImmutable>(annotations).is_some());
    let expandable: GrantExpandable = decoded(annotations).unwrap();
    assert_eq!(
        expandable.entitlement_ids,
        [format!("team:{team}:member"), format!("team:{team}:maintainer")]
    );
}

#[tokio::test]
async fn a_cluster_is_maintained_by_people_and_teams() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let (team, user) = team_and_user(&sandbox);
    sandbox.edit(|organization| {
        let id = ObjectList::Clusters.add(organization, "Default");
        let cluster = organization.cluster_mut(id).unwrap();
        for maintainer in [
            Maintainer::User(user.parse().unwrap()),
            Maintainer::Team(team.parse().unwrap()),
        ] {
            cluster.add_maintainer(uuid::Uuid::new_v4(), maintainer, jiff::Timestamp::now());
        }
    });
    let (_server, platform) = covering_all(&sandbox).await;
    platform.resources("user").await.unwrap();
    platform.resources("team").await.unwrap();
    let cluster = only(&platform, "cluster").await;
    let id = id_of(&cluster);
    let entitlements = platform.entitlements(&cluster).await.unwrap();
    assert_eq!(entitlements.len(), 1);
    let offered = entitlements.first().unwrap();
    let grantable: Vec<&str> = offered
        .grantable_to
        .iter()
        .map(|principal| principal.id.as_str())
        .collect();
    assert_eq!(
        (offered.id.as_str(), grantable),
        (format!("cluster:{id}:maintainer").as_str(), vec!["user", "team"])
    );
    let grants = platform.grants(&cluster).await.unwrap();
    for grant in &grants {
        let expandable: Option<GrantExpandable> = decoded(&grant.annotations);
        let is_team = grant.principal.as_ref().unwrap().id.as_ref().unwrap().resource_type == "team";
        assert_eq!(expandable.is_some(), is_team, "{}", grant.id);
        assert!(decoded::<GrantImmutable>(&grant.annotations).is_none());
    }
    let mut ids: Vec<String> = grants.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    let maintained_by = |principal: String| format!("cluster:{id}:maintainer:{principal}");
    assert_eq!(
        ids,
        [
            maintained_by(format!("team:{team}")),
            maintained_by(format!("user:{user}"))
        ]
    );
}

#[tokio::test]
#[allow(deprecated, reason = "older readers look for the status in the trait")]
async fn an_invitation_is_a_person_without_a_status() {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    sandbox.edit(|organization| ObjectList::Invitations.add(organization, "grace"));
    let (_server, platform) = covering_all(&sandbox).await;
    let invitation = only(&platform, "invitation").await;
    let shown = profile(&invitation);
    assert_eq!(shown.get("email").unwrap(), "grace@sized.example");
    assert_eq!(
        (
            shown.get("state").unwrap().as_str(),
            shown.get("role").unwrap().as_str()
        ),
        ("pending", "member")
    );
    let unspecified = status::ResourceStatus::Unspecified;
    assert_eq!(invitation.status.as_ref().unwrap().status, i32::from(unspecified));
    let user: UserTrait = decoded(&invitation.annotations).unwrap();
    assert_eq!(
        user.status.unwrap().status,
        i32::from(user_trait::status::Status::Unspecified)
    );
    assert_eq!(user.emails.first().unwrap().address, "grace@sized.example");
    assert!(decoded::<SkipEntitlementsAndGrants>(&invitation.annotations).is_some());
    assert_eq!(platform.entitlements(&invitation).await.unwrap(), []);
    assert_eq!(
        platform
            .grants(&resource("invitation", &id_of(&invitation)))
            .await
            .unwrap(),
        []
    );
}
