//! An access request from beginning to end, in one process: a made-up Buildkite, the connector on it, and a platform that
//! talks to the connector over gRPC.
//!
//! ```sh
//! cargo run --example access_request
//! ```
//!
//! [`platform`] is the part to copy from: the calls that a platform makes. [`stage`] starts the other two, [`tell`] prints.

mod platform;
mod stage;
mod tell;

use std::error::Error;
use std::process::ExitCode;

use buildkite_connector::proto::c1::connector::v2::{Entitlement, Resource};
use buildkite_connector::sandbox::MemberRows;

use platform::Platform;
use stage::Stage;
use tell::Bill;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let stage = Stage::set().await?;
    let platform = Platform::connect(&stage.address).await?;
    let mut bill = Bill::default();
    tell::setting(&stage);

    tell::step("Validate", "can the connector do its work with this token?");
    let check = Bill::open(&stage);
    platform.validate().await?;
    tell::line("answer", "OK");
    // One for each of the six health checks.
    bill.close("validate", &stage, check, 6);

    tell::step("Sync", "who is there, which teams are there, who is what in them?");
    let check = Bill::open(&stage);
    let synced = platform.sync(&tell::progress_bar()).await?;
    tell::synced(&synced, check.elapsed());
    // All lists are shorter than a page here: one of people, one of teams, and one of members for each team.
    bill.close("sync", &stage, check, 2 + synced.teams.len());

    let priya = synced.person("Priya Raghunathan")?;
    let member = synced.entitlement("Platform", "member")?;
    let maintainer = synced.entitlement("Platform", "maintainer")?;
    // A change costs a read of the role that is held, and the write; a removal is read again, as its answer shows nothing.
    let scene = Scene {
        platform: &platform,
        stage: &stage,
    };
    tell::step("Request", "Priya asks to be Member of Platform, and it is approved");
    scene.grant(&mut bill, "grant member", member, priya, 2).await?;
    tell::step(
        "Request",
        "she asks to be Maintainer; one change, and she is never out of the team",
    );
    scene.grant(&mut bill, "grant maintainer", maintainer, priya, 2).await?;
    tell::step("Again", "the same request is sent a second time");
    scene.grant(&mut bill, "the same again", maintainer, priya, 1).await?;
    tell::step("Revoke", "her access ends");
    scene
        .revoke(&mut bill, "revoke maintainer", maintainer, priya, 3)
        .await?;

    let viktor = synced.person("Viktor Iliev")?;
    tell::step(
        "Refusal",
        "Viktor leaves the organization after the sync, then his request is approved",
    );
    stage.lets_go(viktor, MemberRows::Dropped)?;
    // The role that is held, the write that Buildkite refuses, that he is not in the organization, and that others are.
    scene.refused(&mut bill, "refused grant", member, viktor, 4).await?;

    tell::summary(&bill, &stage);
    stage.end().await;
    Ok(())
}

/// One request after another, each with what it did in Buildkite and what the platform was told.
struct Scene<'a> {
    platform: &'a Platform,
    stage: &'a Stage,
}

impl Scene<'_> {
    async fn grant(
        &self,
        bill: &mut Bill,
        what: &'static str,
        entitlement: &Entitlement,
        person: &Resource,
        needed: usize,
    ) -> Result<(), Box<dyn Error>> {
        let (check, before) = (Bill::open(self.stage), self.stage.role_of(person, entitlement));
        let response = self.platform.grant(entitlement, person).await?;
        tell::change(before, self.stage.role_of(person, entitlement));
        tell::annotations(&response.annotations)?;
        bill.close(what, self.stage, check, needed);
        Ok(())
    }

    async fn revoke(
        &self,
        bill: &mut Bill,
        what: &'static str,
        entitlement: &Entitlement,
        person: &Resource,
        needed: usize,
    ) -> Result<(), Box<dyn Error>> {
        let (check, before) = (Bill::open(self.stage), self.stage.role_of(person, entitlement));
        let response = self.platform.revoke(entitlement, person).await?;
        tell::change(before, self.stage.role_of(person, entitlement));
        tell::annotations(&response.annotations)?;
        bill.close(what, self.stage, check, needed);
        Ok(())
    }

    async fn refused(
        &self,
        bill: &mut Bill,
        what: &'static str,
        entitlement: &Entitlement,
        person: &Resource,
        needed: usize,
    ) -> Result<(), Box<dyn Error>> {
        let (check, before) = (Bill::open(self.stage), self.stage.role_of(person, entitlement));
        let Err(status) = self.platform.grant(entitlement, person).await else {
            return Err(format!("{} was granted although they left", person.display_name).into());
        };
        tell::change(before, self.stage.role_of(person, entitlement));
        tell::refusal(&status);
        bill.close(what, self.stage, check, needed);
        Ok(())
    }
}
