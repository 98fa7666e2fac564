//! An organization with a type beside users and teams: a suite, whose level a team holds.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rstest::rstest;
use uuid::Uuid;

use super::*;
use crate::governance::model::examples::{GROUP, MEMBER, SUITE, USER, group, user};
use crate::governance::model::{Holding, ProfileValue, Resource, ResourceId, ResourceTypeInfo};
use crate::governance::provider::{Batch, MockResourceType, ResourceType, Rows, examples};
use crate::governance::sync::ListHistory;
use crate::governance::{Governance, GovernanceSettings};

const SUITE_ID: Uuid = Uuid::from_u128(3);

fn rows<R: std::fmt::Debug + Send + 'static>(rows: Vec<R>) -> Box<dyn Batch<R>> {
    Box::new(Rows { rows, next: None })
}

/// A type with one resource, whose level `holder` holds.
fn one(info: &'static ResourceTypeInfo, resource: Resource, holder: Option<ResourceId>) -> Arc<dyn ResourceType> {
    let mut listed = MockResourceType::new();
    listed.expect_info().return_const(info);
    listed.expect_carried().returning(|| None);
    listed.expect_deletable().returning(|| None);
    listed.expect_check_visibility().returning(|_, _| Ok(()));
    listed
        .expect_list()
        .returning(move |_, _, _| Ok(rows(vec![resource.clone()])));
    listed.expect_grants().returning(move |_, _, _, _| {
        let held = holder.map(|principal| Holding {
            principal,
            name: Some("as in the row".to_owned()),
            level: Some(MEMBER),
        });
        Ok(rows(held.into_iter().collect()))
    });
    Arc::new(listed)
}

fn named(id: ResourceId, name: &str, slug: &str) -> Resource {
    Resource {
        handle: Some(slug.to_owned()),
        profile: vec![("slug", ProfileValue::Text(slug.to_owned()))],
        ..Resource::named(id, Some(name.to_owned()))
    }
}

/// Ada is a member of the team Platform, which holds a level of the suite Unit, if `holds`.
fn organization(holds: bool) -> Governance {
    let suite = ResourceId {
        resource_type: &SUITE,
        id: SUITE_ID,
    };
    let types = vec![
        one(&USER, named(user(1), "Ada", "ada@example.com"), None),
        one(&GROUP, named(group(2), "Platform", "platform"), Some(user(1))),
        one(&SUITE, named(suite, "Unit", "unit"), holds.then(|| group(2))),
    ];
    let mut provider = examples::acme(types);
    provider.expect_list_history().return_const(ListHistory::default());
    provider.expect_forecast().returning(|_, _| None);
    provider.expect_confirm_access().returning(|_, _| Ok(()));
    Governance::new(Arc::new(provider), GovernanceSettings::default())
}

async fn write(path: &Path, options: &SyncOptions, holds: bool) -> Counts {
    let mut output = Output::open(path, Format::of(path).unwrap(), options.run_type()).unwrap();
    let progress = Progress::default();
    let counts = sync(&organization(holds), options, &mut output, &progress)
        .await
        .unwrap();
    output.finish().await.unwrap();
    counts
}

async fn listed(query: &ListQuery) -> Result<Vec<String>, ExportError> {
    let mut listed = Vec::new();
    let mut each = |cells: &[&str]| {
        listed.push(cells.join(","));
        Ok(())
    };
    list(&organization(true), query, &Progress::default(), &mut each).await?;
    Ok(listed)
}

const ADA: &str = "00000000-0000-0000-0000-000000000001";
const PLATFORM: &str = "00000000-0000-0000-0000-000000000002";
const UNIT: &str = "00000000-0000-0000-0000-000000000003";

/// The grants under [`ALL_COLUMNS`].
fn grants() -> [String; 2] {
    [
        format!(
            "platform,Platform,member,Ada,ada@example.com,{PLATFORM},{ADA},\
             team,platform,Platform,{PLATFORM},user,Ada,ada@example.com,{ADA}"
        ),
        format!(
            "platform,Platform,member,,,{PLATFORM},,\
             suite,unit,Unit,{UNIT},team,Platform,platform,{PLATFORM}"
        ),
    ]
}

#[tokio::test]
async fn a_table_describes_resource_and_principal_of_any_type_after_the_team_and_the_user() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.csv");
    write(&path, &SyncOptions::default(), true).await;
    let lines = [vec![ALL_COLUMNS.join(",")], grants().to_vec()].concat();
    assert_eq!(fs::read_to_string(&path).unwrap(), lines.join("\n") + "\n");
}

#[tokio::test]
async fn a_sync_counts_every_type_and_a_directory_has_a_file_for_each() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.json");
    let counts = write(&path, &SyncOptions::default(), true).await;
    assert_eq!(counts.in_words(|_| true), "1 user, 1 team, 1 test suite");
    assert_eq!((counts.entitlements, counts.grants), (4, 2));
    let mut files: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["grants.json", "teams.json", "test_suites.json", "users.json"]);
    let suites = fs::read_to_string(path.join("test_suites.json")).unwrap();
    assert!(suites.contains(UNIT), "{suites}");
}

#[tokio::test]
async fn grants_to_types_that_are_not_included_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let options = SyncOptions {
        types: Some(vec![&GROUP, &SUITE]),
        ..SyncOptions::default()
    };
    let counts = write(&directory.path().join("access.c1z"), &options, true).await;
    assert_eq!(counts.resources, [(&GROUP, 1), (&SUITE, 1)]);
    assert_eq!((counts.entitlements, counts.grants), (4, 1));
}

#[rstest]
#[tokio::test]
async fn a_level_that_a_team_lost_is_a_difference_in_every_format(
    #[values("old.csv", "old.c1z", "old.json", "old.jsonl")] old: &str,
    #[values("new.csv", "new.c1z", "new.json", "new.jsonl")] new: &str,
) {
    let directory = tempfile::tempdir().unwrap();
    let [old, same, new] = [old, &format!("same-{new}"), new].map(|name| directory.path().join(name));
    write(&old, &SyncOptions::default(), true).await;
    write(&same, &SyncOptions::default(), true).await;
    write(&new, &SyncOptions::default(), false).await;
    assert!(diff::diff(&old, &same).unwrap().is_empty());
    let difference = serde_json::to_value(diff::diff(&old, &new).unwrap()).unwrap();
    let lost = serde_json::json!({
        "resource_type": "suite", "resource_slug": "unit", "resource_name": "Unit", "resource_id": UNIT,
        "role": "member",
        "principal_type": "team", "principal_name": "Platform", "principal_handle": "platform", "principal_id": PLATFORM,
        "team_slug": "platform", "team_name": "Platform", "team_id": PLATFORM,
        "user_name": "", "user_email": "", "user_id": "",
    });
    assert_eq!(difference, serde_json::json!({"gained": [], "lost": [lost]}));
}

#[tokio::test]
async fn every_type_is_listed() {
    let suites = listed(&ListQuery::OfType(&SUITE)).await.unwrap();
    assert_eq!(suites, [format!("unit,Unit,{UNIT}")]);
    assert_eq!(listed(&ListQuery::Grants(None)).await.unwrap(), grants());
    let resources = listed(&ListQuery::Resources(None)).await.unwrap();
    assert_eq!(
        resources,
        [
            format!("user,Ada,{ADA}"),
            format!("team,Platform,{PLATFORM}"),
            format!("suite,Unit,{UNIT}")
        ]
    );
}

#[tokio::test]
async fn a_list_of_one_team_is_of_users_only() {
    let team = || "platform".to_owned();
    let grants = listed(&ListQuery::Grants(Some(team()))).await.unwrap();
    assert_eq!(
        grants,
        [format!("platform,Platform,member,Ada,ada@example.com,{PLATFORM},{ADA}")]
    );
    let members = listed(&ListQuery::Members(team())).await.unwrap();
    assert_eq!(members, [format!("Ada,ada@example.com,,{ADA}")]);
}

#[tokio::test]
async fn a_type_that_is_not_governed_is_an_error_and_not_an_empty_list() {
    static OTHER: ResourceTypeInfo = ResourceTypeInfo { id: "cluster", ..SUITE };
    for query in [ListQuery::OfType(&OTHER), ListQuery::Resources(Some(&OTHER))] {
        let error = listed(&query).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "`cluster` is not included: add it to --include or BUILDKITE_CONNECTOR_INCLUDE"
        );
    }
}
