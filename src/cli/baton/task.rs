//! The mode that the flags select.

use super::actions::{self, ActionCall};
use super::error::{BatonError, refused};
use super::flags::{Flags, SyncFlags};
use super::lifecycle;
use super::service::ServiceSettings;
use crate::export::SyncOptions;
use crate::governance::model::{Catalog, ResourceId, ResourceTypeInfo};
use crate::proto::c1::connector::v2::CreateAccountRequest;
use crate::providers::buildkite::resources;

/// What a command line runs.
#[derive(Debug)]
pub(super) enum Task {
    /// Service mode.
    Serve(Box<ServiceSettings>),
    /// One sync.
    Sync(SyncOptions),
    /// One grant.
    Grant(GrantRequest),
    /// One revoke, of the grant with this id.
    Revoke(String),
    /// One invitation.
    CreateAccount(Box<CreateAccountRequest>),
    /// One deletion.
    Delete(ResourceId),
    /// One action.
    Act(Box<ActionCall>),
    /// The schemas of the actions of this type, or of all if it is empty.
    ListActions(String),
}

/// A grant by the ids of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GrantRequest {
    pub(super) entitlement: String,
    pub(super) principal_type: String,
    pub(super) principal: String,
}

impl Task {
    /// Determines it from the flags.
    ///
    /// # Errors
    /// Where flags contradict each other, or a value of one is wrong.
    pub(super) fn of(flags: &Flags) -> Result<Self, BatonError> {
        let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let provision = &flags.provision;
        let options = sync_options(&flags.sync)?;
        let changed = lifecycle::task(&flags.lifecycle)?;
        let granted = match (
            given(&provision.grant_entitlement),
            given(&provision.grant_principal),
            given(&provision.revoke_grant),
        ) {
            (None, None, None) => None,
            (Some(entitlement), Some(principal), None) => Some(Self::Grant(GrantRequest {
                entitlement,
                principal_type: provision.grant_principal_type.clone(),
                principal,
            })),
            (None, None, Some(grant)) => Some(Self::Revoke(grant)),
            (_, _, Some(_)) => {
                return Err(refused(
                    "--revoke-grant and --grant-entitlement exclude each other: give one",
                ));
            }
            _ => {
                return Err(refused(
                    "--grant-entitlement and --grant-principal go together: give both",
                ));
            }
        };
        let acted = actions::task(&flags.actions)?;
        let changed = match (changed, acted) {
            (Some(_), Some(_)) => {
                return Err(refused("one change is made at once: give the flags of one of them"));
            }
            (changed, acted) => changed.or(acted),
        };
        let one_shot = match (granted, changed) {
            (Some(_), Some(_)) => {
                return Err(refused("one change is made at once: give the flags of one of them"));
            }
            (granted, changed) => granted.or(changed),
        };
        let service = &flags.service;
        let has_secret = service.client_secret().is_some() || service.platform.has_secret_file();
        match (service.platform.has_client_id(), has_secret, one_shot) {
            (true, true, None) => {
                let settings = ServiceSettings::new(flags, |name| std::env::var(name).ok())?;
                Ok(Self::Serve(Box::new(settings)))
            }
            (true, true, Some(_)) => Err(refused(
                "--client-id starts service mode, where the platform says what is changed: leave it or the one-shot flags out",
            )),
            (false, false, one_shot) => Ok(one_shot.unwrap_or(Self::Sync(options))),
            _ => Err(refused(
                "--client-id (BATON_CLIENT_ID) and --client-secret (BATON_CLIENT_SECRET) go together: give both, or neither",
            )),
        }
    }
}

fn sync_options(flags: &SyncFlags) -> Result<SyncOptions, BatonError> {
    if flags.storage_engine != "sqlite" {
        return Err(refused(
            "--storage-engine: only `sqlite` (c1z version 1) is written, which every platform takes: leave it out",
        ));
    }
    let named = |values: &[String]| -> Vec<String> {
        let values = values
            .iter()
            .map(|value| value.trim())
            .filter(|value| !value.is_empty());
        values.map(str::to_owned).collect()
    };
    let catalog = resources::full_catalog();
    let types: Result<Vec<&'static ResourceTypeInfo>, BatonError> = named(&flags.sync_resource_types)
        .iter()
        .map(|id| {
            let known = catalog.resource_type(id);
            known.map_err(|problem| refused(format!("--sync-resource-types: {problem}, not `{id}`")))
        })
        .collect();
    let targets: Result<Vec<ResourceId>, BatonError> = named(&flags.sync_resources)
        .iter()
        .map(|bid| target(&catalog, bid))
        .collect();
    Ok(SyncOptions {
        types: Some(types?).filter(|types| !types.is_empty()),
        targets: targets?,
        skip_grants: flags.skip_grants,
        skip_entitlements_and_grants: flags.skip_entitlements_and_grants,
    })
}

/// A resource by its Baton id. None here has a parent, so the id is `bid:r:TYPE/ID`.
fn target(catalog: &Catalog, bid: &str) -> Result<ResourceId, BatonError> {
    let wrong = |problem: &str| {
        refused(format!(
            "--sync-resources: `{bid}` {problem}: give `bid:r:team/ID` or `bid:r:user/ID`"
        ))
    };
    let (resource_type, id) = bid
        .strip_prefix("bid:r:")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| wrong("is no id of a resource"))?;
    catalog
        .resource(resource_type, id)
        .map_err(|problem| wrong(&format!("is refused ({problem})")))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use clap::Parser;
    use rstest::rstest;

    use super::*;

    const TEAM: &str = "0198c6f0-0000-7000-8000-000000000001";

    fn task(arguments: &[&str]) -> Result<Task, String> {
        let flags = Flags::try_parse_from([&["baton-buildkite"], arguments].concat());
        let flags = flags.map_err(|error| error.to_string().trim_start_matches("error: ").to_owned())?;
        Task::of(&flags).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_synced_follows_the_flags() {
        let bid = format!("--sync-resources=bid:r:team/{TEAM}");
        let Task::Sync(options) = task(&[&bid, "--sync-resource-types=team,user", "--skip-grants"]).unwrap() else {
            panic!("no sync")
        };
        assert_eq!(
            options.targets,
            [resources::full_catalog().resource("team", TEAM).unwrap()]
        );
        assert_eq!(options.types, Some(vec![&resources::TEAM, &resources::USER]));
        assert!(options.skip_grants && !options.skip_entitlements_and_grants);
        assert!(matches!(task(&[]), Ok(Task::Sync(options)) if options == SyncOptions::default()));
    }

    #[rstest]
    #[case(&["--sync-resources=team/1"], "--sync-resources")]
    #[case(&["--sync-resources=bid:r:team/1"], "--sync-resources")]
    #[case(&["--sync-resource-types=group"], "--sync-resource-types")]
    #[case(&["--storage-engine=pebble"], "--storage-engine")]
    #[case(&["--grant-entitlement=e"], "--grant-entitlement and --grant-principal")]
    #[case(&["--grant-principal=p"], "--grant-entitlement and --grant-principal")]
    #[case(&["--grant-entitlement=e", "--grant-principal=p", "--revoke-grant=g"], "--revoke-grant and --grant-entitlement")]
    #[case(&["--create-account-profile={}"], "--create-account-profile")]
    #[case(&["--create-account-email=a@b.example", "--create-account-profile=[]"], "--create-account-profile")]
    #[case(&["--delete-resource=x"], "--delete-resource and --delete-resource-type")]
    #[case(&["--delete-resource=x", "--delete-resource-type=group"], "--delete-resource-type")]
    #[case(&["--delete-resource=x", "--delete-resource-type=team"], "--delete-resource")]
    #[case(&["--create-account-email=a@b.example", "--revoke-grant=g"], "one change")]
    #[case(&["--invoke-action=find_user", "--revoke-grant=g"], "one change")]
    #[case(&["--invoke-action-args={}"], "--invoke-action-args")]
    #[case(&["--invoke-action=x", "--invoke-action-args=[]"], "--invoke-action-args")]
    #[case(&["--invoke-action=x", "--list-action-schemas"], "--invoke-action and --list-action-schemas")]
    #[case(&["--list-action-schemas-resource-type=team"], "--list-action-schemas-resource-type")]
    #[case(&["--client-id=a@b/c"], "--client-id (BATON_CLIENT_ID) and --client-secret")]
    #[case(&["--client-secret=a:b:v1:c"], "--client-id (BATON_CLIENT_ID) and --client-secret")]
    #[case(&["--client-id=ab/c", "--client-secret=a:b:v1:c"], "--client-id")]
    #[case(&["--client-id=a@b", "--client-secret=a:b:v1:c"], "--client-id")]
    #[case(&["--client-id=a@b/c", "--client-secret=a:b:v2:hush"], "--client-secret")]
    #[case(&["--client-id=a@b/c", "--client-secret=a:v1:hush"], "--client-secret")]
    #[case(&["--client-id=a@b/c", "--client-secret=a:b:v1:c", "--revoke-grant=g"], "--client-id")]
    fn what_is_wrong_is_refused_by_name_and_without_secrets(#[case] arguments: &[&str], #[case] begins: &str) {
        let problem = task(arguments).unwrap_err();
        assert!(problem.starts_with(begins) && !problem.contains("hush"), "{problem}");
    }

    #[test]
    fn service_mode_has_its_settings() {
        let key = URL_SAFE_NO_PAD.encode(format!(
            r#"{{"kty": "OKP", "crv": "Ed25519", "d": "{}"}}"#,
            URL_SAFE_NO_PAD.encode([7; 32])
        ));
        let task = task(&[
            "--client-id=a@b/c",
            &format!("--client-secret=a:b:v1:{key}"),
            "--task-concurrency=7",
            "--health-check",
            "--health-check-port=9000",
        ]);
        let Ok(Task::Serve(settings)) = task else {
            panic!("{task:?}")
        };
        assert_eq!(settings.options.client_id.as_str(), "a@b/c");
        assert_eq!(settings.options.task_concurrency, 7);
        assert_eq!(settings.health_address, Some("127.0.0.1:9000".parse().unwrap()));
    }
}
