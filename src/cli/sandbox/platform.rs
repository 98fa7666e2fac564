//! `sandbox --platform`: the access platform's stand-in beside Buildkite's, and its arguments.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use crate::proto::c1::connector::v2::{Entitlement, Grant, Resource, ResourceId};
use crate::proto::c1::connectorapi::baton::v1::task::{GrantTask, HelloTask, RevokeTask, SyncFullTask, TaskType};
use crate::sandbox::platform::{Fault, Platform, PlatformOptions, kind_name};

/// The arguments of the platform.
#[derive(Clone, Debug, clap::Args)]
pub struct PlatformArgs {
    /// Also run a stand-in of an access platform, which `service` can work for
    #[arg(long)]
    pub platform: bool,
    /// Address of the platform; port 0 takes a free one
    #[arg(
        long,
        default_value_t = PlatformOptions::default().listen,
        value_name = "ADDRESS",
        requires = "platform"
    )]
    pub platform_listen: SocketAddr,
    /// Where the platform keeps its files while it runs
    #[arg(long, value_name = "PATH", requires = "platform")]
    pub platform_directory: Option<PathBuf>,
    /// A task for the connector: sync, hello, grant=TEAM:ROLE:USER or revoke=TEAM:ROLE:USER, with ids. May be repeated
    #[arg(
        long = "platform-task",
        default_value = "sync",
        value_name = "TASK",
        requires = "platform"
    )]
    pub platform_tasks: Vec<PlatformTask>,
    /// A fault of the platform: `METHOD:KIND[=VALUE][:after=N][:times=N]`, such as get-task:status=unavailable:times=3,
    /// upload:close, heartbeat:cancel, get-task:twice or any:delay=200ms. May be repeated
    #[arg(long = "platform-fault", value_name = "SPEC", requires = "platform")]
    pub platform_faults: Vec<Fault>,
    /// How long the platform's access tokens are valid
    #[arg(
        long,
        default_value_t = PlatformOptions::default().token_life.into(),
        value_name = "TIME",
        requires = "platform"
    )]
    pub platform_token_life: humantime::Duration,
}

/// A task as it is written on the command line.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformTask(TaskType);

impl FromStr for PlatformTask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is none of sync, hello, grant=TEAM:ROLE:USER, revoke=TEAM:ROLE:USER");
        let (kind, held) = text.split_once('=').unwrap_or((text, ""));
        let held = || {
            let mut ids = held.split(':');
            let (team, role, user) = (ids.next()?, ids.next()?, ids.next()?);
            let complete = ids.next().is_none() && ![team, role, user].contains(&"");
            complete.then(|| held_by(team, role, user))
        };
        Ok(Self(match kind {
            "sync" => TaskType::SyncFull(SyncFullTask::default()),
            "hello" => TaskType::Hello(HelloTask::default()),
            "grant" => {
                let (entitlement, principal) = held().ok_or_else(wrong)?;
                TaskType::Grant(GrantTask {
                    entitlement: Some(entitlement),
                    principal: Some(principal),
                    ..Default::default()
                })
            }
            "revoke" => {
                let (entitlement, principal) = held().ok_or_else(wrong)?;
                let grant = Grant {
                    id: format!("{}:user:{}", entitlement.id, id_of(&principal)),
                    entitlement: Some(entitlement),
                    principal: Some(principal),
                    ..Default::default()
                };
                TaskType::Revoke(RevokeTask {
                    grant: Some(grant),
                    annotations: vec![],
                })
            }
            _ => return Err(wrong()),
        }))
    }
}

fn held_by(team: &str, role: &str, user: &str) -> (Entitlement, Resource) {
    let entitlement = Entitlement {
        resource: Some(resource("team", team)),
        id: format!("team:{team}:{role}"),
        slug: role.to_owned(),
        ..Default::default()
    };
    (entitlement, resource("user", user))
}

fn resource(kind: &str, id: &str) -> Resource {
    Resource {
        id: Some(ResourceId {
            resource_type: kind.to_owned(),
            resource: id.to_owned(),
            baton_resource: false,
        }),
        ..Default::default()
    }
}

fn id_of(resource: &Resource) -> &str {
    resource.id.as_ref().map_or("", |id| &id.resource)
}

impl PlatformArgs {
    /// Starts the platform, with its tasks, where it is wanted.
    pub(super) async fn start(&self) -> io::Result<Option<Platform>> {
        if !self.platform {
            return Ok(None);
        }
        let options = PlatformOptions {
            listen: self.platform_listen,
            token_life: self.platform_token_life.into(),
            faults: self.platform_faults.clone(),
            ..PlatformOptions::default()
        };
        let within = self.platform_directory.clone().unwrap_or_else(std::env::temp_dir);
        let platform = Platform::start(options, &within).await?;
        for task in &self.platform_tasks {
            let _ = platform.add(task.0.clone());
        }
        Ok(Some(platform))
    }
}

/// Says where the platform is and how a connector reaches it. The secret opens nothing but this sandbox.
pub(super) fn introduce(platform: &Platform, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\naccess platform    https://{}", platform.host())?;
    writeln!(out, "\nrun the connector for it, with the variables above and")?;
    writeln!(out, "  export BATON_CLIENT_ID={}", platform.client_id())?;
    writeln!(
        out,
        "  export BATON_CLIENT_SECRET_FILE={}",
        platform.client_secret_file().display()
    )?;
    writeln!(
        out,
        "  export BUILDKITE_CONNECTOR_PLATFORM_CA={}",
        platform.ca_file().display()
    )?;
    writeln!(out, "  buildkite-connector service\n")?;
    out.flush()
}

/// Says what becomes of each task, for as long as it is polled.
pub(super) async fn report(platform: &Platform, out: &mut impl Write) -> io::Result<()> {
    for told in 0.. {
        platform.until(|ledger| ledger.finished.len() > told).await;
        let line = platform.look(|ledger| {
            let finished = ledger.finished.get(told)?;
            let status = finished.report.status.clone().unwrap_or_default();
            let uploads = ledger
                .uploads
                .iter()
                .filter(|upload| upload.task_id == finished.task.id);
            let bytes: usize = uploads.map(|upload| upload.bytes.len()).sum();
            let (kind, id) = (kind_name(&finished.task), &finished.task.id);
            Some(match status.code {
                0 if bytes > 0 => format!("task {id} ({kind}): done, {bytes} bytes uploaded"),
                0 => format!("task {id} ({kind}): done"),
                code => format!("task {id} ({kind}): failed with code {code}: {}", status.message),
            })
        });
        writeln!(out, "{}", line.unwrap_or_default())?;
        out.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_grant_is_written_as_a_team_a_role_and_a_user() {
        let PlatformTask(TaskType::Grant(task)) = "grant=t:member:u".parse().unwrap() else {
            panic!("no grant");
        };
        assert_eq!(task.entitlement.unwrap().id, "team:t:member");
        assert_eq!(id_of(&task.principal.unwrap()), "u");
    }

    #[rstest]
    #[case("grant")]
    #[case("grant=t:member")]
    #[case("grant=t:member:u:x")]
    #[case("revoke=::")]
    #[case("tidy")]
    fn what_is_no_task_is_refused_with_the_ones_that_are(#[case] text: &str) {
        assert!(
            text.parse::<PlatformTask>()
                .unwrap_err()
                .contains("revoke=TEAM:ROLE:USER")
        );
    }
}
