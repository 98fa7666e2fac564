//! One invitation or one deletion.

use buildkite_connector::sandbox::{Sandbox, TokenSpec};
use secrecy::ExposeSecret;
use std::process::Command;

use super::linked::{Linked, printed};
use crate::export::job::ended;
use crate::support::{sandbox, sized};

/// A command with a token that has every scope.
fn command(linked: &Linked, sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_all_scopes());
    let mut command = linked.on(sandbox, arguments);
    command
        .env("BATON_API_TOKEN", token.expose_secret())
        .env("BATON_AUDIT_FILE", linked.path("audit.jsonl"));
    command
}

#[tokio::test]
async fn a_person_is_invited_and_the_invitation_deleted() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let invite = [
        "--create-account-email",
        "ada@joiner.example",
        "--create-account-profile",
        "{\"role\": \"member\", \"teams\": []}",
    ];
    printed(ended(command(&linked, &sandbox, &invite)).await, 0);
    let invitations = || sandbox.with_organization(|organization| organization.invitations().to_vec());
    let invitation = invitations()[0].clone();
    assert_eq!(invitation.email, "ada@joiner.example");
    let id = invitation.id.to_string();
    let delete = ["--delete-resource", &id, "--delete-resource-type", "invitation"];
    printed(ended(command(&linked, &sandbox, &delete)).await, 0);
    assert!(!invitations()[0].is_pending());
    let audit = std::fs::read_to_string(linked.path("audit.jsonl")).unwrap();
    for recorded in [
        "\"outcome\":\"invited\"",
        "\"operation\":\"revoke_invitation\"",
        "\"caller\":\"baton-buildkite\"",
    ] {
        assert!(audit.contains(recorded), "{recorded}: {audit}");
    }
}

#[tokio::test]
async fn a_user_is_removed_with_an_audit_file_alone() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let user = sandbox.with_organization(|organization| organization.people()[1].id);
    let id = user.to_string();
    let delete = ["--delete-resource", &id, "--delete-resource-type", "user"];
    let refused = printed(ended(linked.on(&sandbox, &delete)).await, 2);
    assert!(refused.contains("--audit-file"), "{refused}");
    printed(ended(command(&linked, &sandbox, &delete)).await, 0);
    assert!(sandbox.with_organization(|organization| organization.person(user).is_none()));
}

#[tokio::test]
async fn an_address_that_is_none_ends_with_the_code_of_the_protocol() {
    let (sandbox, linked) = (sandbox(sized(1, 1, 3)).await, Linked::new());
    let invite = ["--create-account-email", "ada"];
    let problem = printed(ended(command(&linked, &sandbox, &invite)).await, 3);
    assert!(problem.contains("give an e-mail address"), "{problem}");
}
