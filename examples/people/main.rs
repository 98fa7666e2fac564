//! A joiner, a mover and a leaver, in one process: a sandbox in place of Buildkite, the connector on it, and a platform that calls
//! the connector over gRPC.
//!
//! ```sh
//! cargo run --example people
//! ```
//!
//! [`platform`] is the part to copy: the calls of a platform. [`stage`] starts the sandbox and the connector.

mod platform;
mod stage;

use std::error::Error;
use std::process::ExitCode;

use platform::{Account, Platform};
use stage::Stage;

/// The address of the person in the example.
const EMAIL: &str = "noor.haddad@northwind-rail.example";

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
    let stage = Stage::start().await?;
    let platform = Platform::connect(&stage.address).await?;

    step("Joiner", "the person is invited to the organization and to a team");
    let team = stage.team("platform")?;
    let invited = platform.create_account(EMAIL, &["platform"]).await?;
    let Account::Invited {
        id: invitation,
        message,
    } = invited
    else {
        return Err(format!("{EMAIL} is a member already").into());
    };
    line("answer", &message);

    step(
        "Again",
        "the same request is sent a second time; no second mail is sent",
    );
    if let Account::Invited { message, .. } = platform.create_account(EMAIL, &["platform"]).await? {
        line("answer", &message);
    }

    step("Accepted", "the person accepts, and the same request finds a user");
    stage.accept(&invitation)?;
    let Account::User { id: user } = platform.create_account(EMAIL, &[]).await? else {
        return Err(format!("{EMAIL} is not a member").into());
    };
    line("user", &user);
    line("teams", &stage.teams_of(&user));

    step("Mover", "a new team is granted, then the old one is revoked");
    let new_team = stage.team("data")?;
    platform.grant(&new_team, "member", &user).await?;
    platform.revoke(&team, "member", &user).await?;
    line("teams", &stage.teams_of(&user));

    step(
        "Leaver",
        "the user is deleted; the record lists the teams that were lost",
    );
    platform.delete_user(&user).await?;
    line("teams", &stage.teams_of(&user));
    line("record", &stage.last_record()?);

    step(
        "Again",
        "the same request is a success, because the user is proven absent",
    );
    platform.delete_user(&user).await?;
    line("answer", "OK");

    stage.end().await;
    Ok(())
}

fn step(what: &str, why: &str) {
    println!("\n{what}: {why}");
}

fn line(label: &str, text: &str) {
    println!("  {label:<8} {text}");
}
