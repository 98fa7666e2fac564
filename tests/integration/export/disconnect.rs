//! `disconnect`: the token is revoked where that was confirmed, and only that token, and it is claimed only once it is so.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use buildkite_connector::sandbox::{BodyStyle, Endpoint, Fault, FaultKind, Gate, Sandbox, Seed, TokenSpec};
use http::StatusCode;
use rstest::rstest;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::job::{Place, ended, on};
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, until};

fn disconnect(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = on(sandbox, &["disconnect"]);
    command.args(arguments);
    command
}

fn with_token(mut command: Command, token: &SecretString) -> Command {
    command.env("BUILDKITE_API_TOKEN", token.expose_secret());
    command
}

/// Whether Buildkite still knows the token.
async fn works(sandbox: &Sandbox, token: &SecretString) -> bool {
    let url = format!("{}/v2/access-token", sandbox.url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.get(url).bearer_auth(token.expose_secret());
    match request.send().await.unwrap().status() {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("{other}"),
    }
}

const QUESTION: &str = "type the organization's slug to continue: ";

/// What happens at the prompt for the slug.
#[derive(Clone, Copy)]
enum Reply {
    Typed(&'static str),
    Interrupt,
}

/// Runs on a terminal; what was shown there, and the exit code.
async fn on_a_terminal(mut command: Command, reply: Reply) -> (String, Option<i32>) {
    let run = move || {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let name = std::ffi::OsStr::from_bytes(name.as_bytes());
        let open = || OpenOptions::new().read(true).write(true).open(name).unwrap();
        command.stdin(open()).stdout(open()).stderr(open());
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut terminal = File::from(terminal);
        let (mut shown, mut part, mut replied) = (String::new(), [0; 4096], false);
        // Reading fails when the child has closed its end.
        while let Ok(read @ 1..) = terminal.read(&mut part) {
            shown.push_str(&String::from_utf8_lossy(&part[..read]));
            if !replied && shown.contains(QUESTION) {
                replied = true;
                match reply {
                    Reply::Typed(text) => terminal.write_all(text.as_bytes()).unwrap(),
                    Reply::Interrupt => {
                        let process = child.id().to_string();
                        assert!(
                            Command::new("kill")
                                .args(["-INT", &process])
                                .status()
                                .unwrap()
                                .success()
                        );
                    }
                }
            }
        }
        (shown, child.wait().unwrap().code())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn yes_shows_the_token_revokes_it_and_is_on_record() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let command = disconnect(
        &sandbox,
        &["--yes", "--audit-file", place.path("audit").to_str().unwrap()],
    );
    let ended_well = ended(command).await;
    let printed = ended_well.printed.join("\n");
    assert_eq!(ended_well.status.code(), Some(0), "{printed}");
    let email = sandbox.with_organization(|organization| organization.person(sandbox.owner()).unwrap().email.clone());
    for shown in [
        format!("token of      {email}"),
        format!("organization  {} (the owner is an admin)", sandbox.slug()),
        "scopes        read_user read_organizations read_teams write_teams".to_owned(),
        "expires       never".to_owned(),
        "outcome       revoked: buildkite rejects the token".to_owned(),
    ] {
        assert!(printed.contains(&shown), "{shown} in {printed}");
    }
    assert!(!printed.contains(sandbox.token().expose_secret()));
    assert!(!works(&sandbox, sandbox.token()).await);

    let text = std::fs::read_to_string(place.path("audit")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [intent, outcome] = records.try_into().unwrap();
    for record in [&intent, &outcome] {
        assert!(record["caller"].as_str().unwrap().starts_with("cli:"), "{record}");
        assert_eq!(
            (&record["operation"], &record["token_owner"]),
            (&"disconnect".into(), &email.as_str().into())
        );
        assert!(printed.contains(record["request_id"].as_str().unwrap()));
    }
    assert_eq!(
        (&intent["record"], &outcome["outcome"]),
        (&"intent".into(), &"revoked".into())
    );

    let again = ended(disconnect(&sandbox, &["--yes"])).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(
        again
            .printed
            .last()
            .unwrap()
            .contains("buildkite rejects the api token")
    );
}

#[tokio::test]
async fn without_a_terminal_and_without_yes_no_question_is_asked() {
    let sandbox = sandbox(Seed::Example).await;
    let ended = ended(disconnect(&sandbox, &[])).await;
    assert_eq!(ended.status.code(), Some(2), "{:#?}", ended.printed);
    assert!(
        ended.printed.last().unwrap().starts_with("error: --yes: "),
        "{:#?}",
        ended.printed
    );
    assert_eq!(sandbox.request_log().total(), 0);
}

#[rstest]
#[case::right("northwind-rail\n", 0)]
#[case::wrong("northwind\n", 1)]
#[case::other_case("Northwind-Rail\n", 1)]
#[case::yes("yes\n", 1)]
#[case::nothing("\n", 1)]
#[case::end_of_input("\u{4}", 1)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_only_the_slug_itself_revokes(#[case] text: &'static str, #[case] code: i32) {
    let sandbox = sandbox(Seed::Example).await;
    let (shown, ended) = on_a_terminal(disconnect(&sandbox, &[]), Reply::Typed(text)).await;
    assert_eq!(ended, Some(code), "{shown}");
    assert!(shown.contains(QUESTION), "{shown}");
    assert_eq!(works(&sandbox, sandbox.token()).await, code != 0);
    assert_eq!(shown.contains("nothing was revoked"), code != 0, "{shown}");
}

#[rstest]
#[case::applied_and_cut(FaultKind::ResetAfter, 1)]
#[case::applied_and_a_proxy_responds(FaultKind::AppliedThenStatus(StatusCode::BAD_GATEWAY), 1)]
#[case::not_applied_and_cut(FaultKind::ResetBefore, 2)]
#[case::not_applied_and_a_proxy_responds(FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html), 2)]
#[tokio::test]
async fn a_lost_reply_is_settled_by_whether_the_token_still_works(#[case] kind: FaultKind, #[case] sent: u64) {
    let sandbox = sandbox(Seed::Example).await;
    sandbox
        .faults()
        .add(Fault::new(Endpoint::RevokeAccessToken, kind).times(1));
    let ended = ended(disconnect(&sandbox, &["--yes"])).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert!(!works(&sandbox, sandbox.token()).await);
    assert_eq!(sandbox.request_log().count(Endpoint::RevokeAccessToken), sent);
}

#[tokio::test]
async fn a_revoke_that_is_accepted_and_not_carried_out_is_not_claimed() {
    let sandbox = sandbox(Seed::Example).await;
    let kind = FaultKind::Status(StatusCode::NO_CONTENT, BodyStyle::Empty);
    sandbox.faults().add(Fault::new(Endpoint::RevokeAccessToken, kind));
    let ended = ended(disconnect(&sandbox, &["--yes"])).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(
        ended.printed.iter().any(|line| line.contains("the token still works")),
        "{:#?}",
        ended.printed
    );
}

#[tokio::test]
async fn a_refusal_leaves_the_token_and_reports_the_reason() {
    let sandbox = sandbox(Seed::Example).await;
    let kind = FaultKind::Status(StatusCode::FORBIDDEN, BodyStyle::Message);
    sandbox.faults().add(Fault::new(Endpoint::RevokeAccessToken, kind));
    let ended = ended(disconnect(&sandbox, &["--yes"])).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(
        ended
            .printed
            .last()
            .unwrap()
            .contains("revoke access token: buildkite forbids it")
    );
    assert!(works(&sandbox, sandbox.token()).await);
}

#[tokio::test]
async fn a_token_of_another_organization_is_left_alone() {
    let sandbox = sandbox(Seed::Example).await;
    let mut command = disconnect(&sandbox, &["--yes"]);
    command.env("BUILDKITE_ORGANIZATION_SLUG", "northwind");
    let ended = ended(command).await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(
        ended
            .printed
            .last()
            .unwrap()
            .contains("the organization `northwind` is not reachable")
    );
    assert!(works(&sandbox, sandbox.token()).await);
}

#[tokio::test]
async fn a_token_without_any_scope_can_be_revoked() {
    let sandbox = sandbox(Seed::Example).await;
    let token = sandbox.mint(TokenSpec::owned_by(sandbox.owner()).with_scopes(&["read_user"]));
    let ended = ended(with_token(disconnect(&sandbox, &["--yes"]), &token)).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert!(
        ended
            .printed
            .join("\n")
            .contains("(not readable: the token lacks the scope)")
    );
    assert!(!works(&sandbox, &token).await && works(&sandbox, sandbox.token()).await);
}

#[tokio::test]
async fn a_token_is_not_revoked_without_an_audit_record() {
    let sandbox = sandbox(Seed::Example).await;
    let place = Place::new();
    let audit = place.path("no such directory/audit");
    let ended = ended(disconnect(
        &sandbox,
        &["--yes", "--audit-file", audit.to_str().unwrap()],
    ))
    .await;
    assert_eq!(ended.status.code(), Some(1), "{:#?}", ended.printed);
    assert!(
        ended
            .printed
            .last()
            .unwrap()
            .contains("the audit record cannot be written"),
        "{:#?}",
        ended.printed
    );
    assert!(works(&sandbox, sandbox.token()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_replaces_the_first_meanwhile_is_neither_used_nor_revoked() {
    let sandbox = sandbox(Seed::Example).await;
    let (place, gate) = (Place::new(), Gate::default());
    let held = Fault::new(Endpoint::RevokeAccessToken, FaultKind::Held(gate.clone()));
    let held = sandbox.faults().add(held);
    let file = place.path("token");
    std::fs::write(&file, sandbox.token().expose_secret()).unwrap();
    let mut command = disconnect(&sandbox, &["--yes", "--api-token-file", file.to_str().unwrap()]);
    command.env_remove("BUILDKITE_API_TOKEN");
    let job = ConnectorProcess::start(command);
    until(|| held.fired() > 0).await;
    let next = sandbox.mint(TokenSpec::owned_by(sandbox.owner()));
    std::fs::write(&file, next.expose_secret()).unwrap();
    gate.open();
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert!(!works(&sandbox, sandbox.token()).await);
    assert!(works(&sandbox, &next).await);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_before_the_revoke_leaves_the_token_and_one_after_it_waits_for_the_proof(
    #[values(Endpoint::AccessToken, Endpoint::RevokeAccessToken)] stage: Endpoint,
    #[values(("INT", 130), ("TERM", 143))] signal: (&str, i32),
) {
    let sandbox = sandbox(Seed::Example).await;
    let gate = Gate::default();
    let held = sandbox
        .faults()
        .add(Fault::new(stage, FaultKind::Held(gate.clone())).times(1));
    let mut job = ConnectorProcess::start(disconnect(&sandbox, &["--yes"]));
    until(|| held.fired() > 0).await;
    job.signal(signal.0);
    let revokes = stage == Endpoint::RevokeAccessToken;
    if revokes {
        job.event("interrupted");
        gate.open();
    }
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    gate.open();
    assert_eq!(ended.status.code(), Some(signal.1), "{:#?}", ended.printed);
    let outcome = "outcome       revoked: buildkite rejects the token".to_owned();
    assert_eq!(ended.printed.contains(&outcome), revokes, "{:#?}", ended.printed);
    let said = if revokes {
        "error: interrupted: the change in progress was finished first"
    } else {
        "error: interrupted: nothing was changed"
    };
    // Two streams have no order between them.
    assert!(ended.printed.contains(&said.to_owned()), "{:#?}", ended.printed);
    assert_eq!(works(&sandbox, sandbox.token()).await, !revokes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_at_the_question_leaves_the_token() {
    let sandbox = sandbox(Seed::Example).await;
    let (shown, code) = on_a_terminal(disconnect(&sandbox, &[]), Reply::Interrupt).await;
    assert_eq!(code, Some(130), "{shown}");
    assert!(works(&sandbox, sandbox.token()).await);
}
