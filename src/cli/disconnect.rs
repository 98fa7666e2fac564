//! `disconnect`: revokes the API token at Buildkite, after it was shown and the organization's slug was typed as confirmation.

use std::io::{self, BufRead, IsTerminal, Write};

use uuid::Uuid;

use super::job::{self, Job, JobArgs};
use super::settings::SettingError;
use super::{CommandError, user};
use crate::governance::provider::{CredentialDetails, OwnerRole};
use crate::governance::{Governance, GovernanceError};
use crate::providers::buildkite::CredentialForm;

/// The arguments of `disconnect`.
#[derive(Debug, clap::Args)]
pub struct DisconnectArgs {
    #[command(flatten)]
    pub(super) job: JobArgs,
    /// Revoke without asking for the organization's slug, for scripts
    #[arg(long)]
    yes: bool,
}

/// Why the credential of a token exchange is not revoked: the revocation of one token would not prevent the next exchange.
const EXCHANGES: &str = "a token exchange has no token to revoke, because each one ends by itself and another can be obtained: let an \
                         organization admin remove the OAuth application, and delete its key";

/// Why none of several credentials is revoked: the others would go on with its work.
const SEVERAL: &str = "the connection has several credentials, and to revoke one does not end its access: revoke each as the only credential of \
                       a connection, or at https://buildkite.com/user/api-access-tokens";

/// Shows the token, asks for confirmation, and revokes the token.
pub(super) async fn run(args: &DisconnectArgs) -> Result<(), CommandError> {
    if !args.yes && !io::stdin().is_terminal() {
        let problem = "give it if standard input is not a terminal: the organization's slug cannot be typed there";
        return Err(SettingError::of::<DisconnectArgs>("yes", problem).into());
    }
    let job = Job::start_pinned(&args.job).await?;
    match job.credential_forms().as_slice() {
        [CredentialForm::TokenExchange] => return Err(CommandError::Refused(EXCHANGES.to_owned())),
        [_] => {}
        _ => return Err(CommandError::Refused(SEVERAL.to_owned())),
    }
    let request_id = Uuid::now_v7().to_string();
    let work = async {
        let governance = job.governance();
        let own = governance.provisioning().own_token().await?;
        show(governance.organization(), &own)
            .map_err(|error| refused(format!("the token cannot be shown: {error}")))?;
        if !args.yes {
            confirm(governance).await?;
        }
        governance
            .provisioning()
            .revoke_own_token(&own, &user::request(&request_id))
            .await
    };
    let ((), interrupted) = job.finish(None, work).await?;
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "outcome       revoked: buildkite rejects the token\nrequest id    {request_id}"
    )
    .and_then(|()| out.flush())
    .map_err(|error| {
        CommandError::Failed(format!(
            "the token is revoked, but the result cannot be printed: {error}"
        ))
    })?;
    job::ended(interrupted)
}

/// Prints the token's owner, description, scopes and expiry.
fn show(organization: &str, own: &CredentialDetails) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let note = match (own.reaches_organization, own.owner_role) {
        (false, _) => " (not readable: the token lacks the scope)",
        (true, OwnerRole::Admin) => " (the owner is an admin)",
        (true, OwnerRole::Member) => " (the owner is a member)",
        (true, OwnerRole::Unknown) => "",
    };
    let ends = own.expires_at.as_deref().unwrap_or("never");
    writeln!(out, "organization  {organization}{note}")?;
    writeln!(out, "token of      {}", own.owner)?;
    writeln!(out, "description   {}", own.description.as_deref().unwrap_or_default())?;
    writeln!(out, "scopes        {}", own.scopes.join(" "))?;
    writeln!(out, "expires       {ends}")?;
    out.flush()
}

/// Asks for the organization's slug, and returns an error if the answer is another one. A signal ends the wait for it.
async fn confirm(governance: &Governance) -> Result<(), GovernanceError> {
    let slug = governance.organization();
    eprint!(
        "the token is revoked permanently, and every connector that uses it stops: type the organization's slug to continue: "
    );
    let typed = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let typed = tokio::select! {
        () = governance.provisioning().ending() => return Err(GovernanceError::ShuttingDown),
        typed = typed => typed,
    };
    match typed {
        Ok(Ok(line)) if line.trim() == slug => Ok(()),
        Ok(Ok(line)) => Err(refused(format!(
            "`{}` is not the organization's slug `{slug}`: nothing was revoked",
            line.trim()
        ))),
        Ok(Err(_)) | Err(_) => Err(refused("the slug cannot be read: nothing was revoked".to_owned())),
    }
}

fn refused(problem: String) -> GovernanceError {
    GovernanceError::Invalid {
        field: "organization",
        problem,
    }
}
