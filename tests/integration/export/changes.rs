//! `grant` and `revoke`: one change from the command line, with every guard, on record, and finished once it was begun.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use buildkite_connector::sandbox::{
    Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, OrganizationRole, Person, Sandbox, TeamRole, TokenSpec,
};
use nix::unistd::{Uid, User};
use rstest::rstest;
use secrecy::ExposeSecret;
use serde_json::Value;
use uuid::Uuid;

use super::job::{Place, ended, on};
use crate::support::process::ConnectorProcess;
use crate::support::{sandbox, sized, until};

const TEAM: &str = "team-0";
const MEMBER: Option<TeamRole> = Some(TeamRole::Member);
const MAINTAINER: Option<TeamRole> = Some(TeamRole::Maintainer);

/// A user of a sandbox who is not an admin, and the team that changes are about.
struct Pair {
    team: Uuid,
    user: Uuid,
    email: String,
}

fn pair(sandbox: &Sandbox) -> Pair {
    sandbox.with_organization(|organization| {
        let mut people = organization.people().iter();
        let user = people.rfind(|person| !organization.is_admin(person.id)).unwrap();
        Pair {
            team: organization.team_by_slug(TEAM).unwrap().id,
            user: user.id,
            email: user.email.clone(),
        }
    })
}

fn hold(sandbox: &Sandbox, pair: &Pair, held: Option<TeamRole>) {
    sandbox.edit(|organization| match held {
        Some(role) => organization.set_membership(pair.team, pair.user, role),
        None => organization.remove_membership(pair.team, pair.user),
    });
}

fn held(sandbox: &Sandbox, pair: &Pair) -> Option<TeamRole> {
    sandbox.with_organization(|organization| organization.team(pair.team).unwrap().role_of(pair.user))
}

/// How many requests changed something.
fn applied(sandbox: &Sandbox) -> usize {
    sandbox.requests().iter().filter(|request| request.applied).count()
}

fn change(sandbox: &Sandbox, operation: &str, role: &str, user: &str) -> Command {
    on(sandbox, &[operation, "--team", TEAM, "--role", role, "--user", user])
}

fn provisioning(sandbox: &Sandbox, operation: &str, role: &str, user: &str) -> Command {
    let mut command = change(sandbox, operation, role, user);
    command.arg("--provisioning");
    command
}

/// What was printed for people, what was said, and how it ended.
pub async fn done(mut command: Command) -> (String, String, Option<i32>) {
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(stdout), text(stderr), status.code())
}

/// The value behind a label of what was printed.
fn field(printed: &str, label: &str) -> String {
    let line = printed.lines().find_map(|line| line.strip_prefix(label));
    line.unwrap_or_else(|| panic!("no `{label}` in {printed}"))
        .trim()
        .to_owned()
}

/// The last line of standard error: what was said beside the log.
pub fn said(stderr: &str) -> &str {
    stderr.lines().last().unwrap_or_default()
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn word(held: Option<TeamRole>) -> &'static str {
    match held {
        None => "none",
        Some(TeamRole::Member) => "member",
        Some(TeamRole::Maintainer) => "maintainer",
    }
}

#[rstest]
#[case::grant_member_to_none(("grant", "member", "remove"), None, "granted", MEMBER)]
#[case::grant_member_to_member(("grant", "member", "remove"), MEMBER, "already_exists", MEMBER)]
#[case::grant_member_to_maintainer(("grant", "member", "remove"), MAINTAINER, "replaced", MEMBER)]
#[case::grant_maintainer_to_none(("grant", "maintainer", "remove"), None, "granted", MAINTAINER)]
#[case::grant_maintainer_to_member(("grant", "maintainer", "remove"), MEMBER, "replaced", MAINTAINER)]
#[case::grant_maintainer_to_maintainer(("grant", "maintainer", "remove"), MAINTAINER, "already_exists", MAINTAINER)]
#[case::revoke_member_of_none(("revoke", "member", "remove"), None, "already_revoked", None)]
#[case::revoke_member_of_member(("revoke", "member", "remove"), MEMBER, "revoked", None)]
#[case::revoke_member_of_maintainer(("revoke", "member", "remove"), MAINTAINER, "already_revoked", MAINTAINER)]
#[case::revoke_maintainer_of_none(("revoke", "maintainer", "remove"), None, "already_revoked", None)]
#[case::revoke_maintainer_of_member(("revoke", "maintainer", "remove"), MEMBER, "already_revoked", MEMBER)]
#[case::revoke_maintainer_of_maintainer(("revoke", "maintainer", "remove"), MAINTAINER, "revoked", None)]
#[case::demote_maintainer(("revoke", "maintainer", "demote"), MAINTAINER, "demoted", MEMBER)]
#[tokio::test]
async fn every_cell_of_the_table_is_predicted_by_a_dry_run_and_executed_once(
    #[case] (operation, role, mode): (&str, &str, &str),
    #[case] before: Option<TeamRole>,
    #[case] outcome: &str,
    #[case] after: Option<TeamRole>,
) {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let place = Place::new();
    let (pair, audit) = (pair(&sandbox), place.path("audit.jsonl"));
    hold(&sandbox, &pair, before);
    let with = |mut command: Command| {
        command.args(["--maintainer-revoke", mode, "--audit-file", audit.to_str().unwrap()]);
        command
    };

    let mut dry = with(change(&sandbox, operation, role, &pair.email));
    dry.arg("--dry-run");
    let (printed, stderr, code) = done(dry).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(field(&printed, "held "), word(before));
    assert_eq!(field(&printed, "would be ").split(' ').next(), Some(outcome));
    assert_eq!((held(&sandbox, &pair), applied(&sandbox)), (before, 0));
    assert_eq!((lines(&audit).len(), stderr.as_str()), (0, ""), "no intent, no record");

    let (printed, stderr, code) = done(with(provisioning(&sandbox, operation, role, &pair.user.to_string()))).await;
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(field(&printed, "team "), format!("{TEAM} ({})", pair.team));
    assert_eq!(field(&printed, "held "), word(before));
    assert_eq!(field(&printed, "outcome ").split(' ').next(), Some(outcome));
    assert_eq!(held(&sandbox, &pair), after);
    assert_eq!(applied(&sandbox), usize::from(before != after));

    let records = lines(&audit);
    let last = records.last().unwrap();
    let user = User::from_uid(Uid::current()).unwrap().unwrap().name;
    assert_eq!(last["caller"], format!("cli:{user}"));
    assert_eq!(last["request_id"], field(&printed, "request id "));
    assert_eq!(
        (&last["record"], &last["outcome"]),
        (&"outcome".into(), &outcome.into())
    );
    assert_eq!((&last["operation"], &last["role"]), (&operation.into(), &role.into()));
    assert_eq!(last["before"], word(before));
    assert_eq!(
        records.len(),
        1 + usize::from(before != after),
        "an intent for each write"
    );
}

#[tokio::test]
async fn without_provisioning_no_request_is_sent_and_the_attempt_is_recorded() {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let place = Place::new();
    let mut command = change(&sandbox, "grant", "member", &pair(&sandbox).email);
    command.args(["--audit-file", place.path("audit").to_str().unwrap()]);
    let (printed, stderr, code) = done(command).await;
    assert_eq!((printed.as_str(), code), ("", Some(2)), "{stderr}");
    assert!(said(&stderr).starts_with("error: provisioning is off: "), "{stderr}");
    assert_eq!(sandbox.request_log().total(), 0);
    let [record] = lines(&place.path("audit")).try_into().unwrap();
    assert_eq!(record["reason"], "PROVISIONING_DISABLED");
}

#[rstest]
#[case::team(&["--protect-team", TEAM], "the team `team-0` is protected")]
#[case::typo(&["--protect-team", "taem-0"], "taem-0")]
#[tokio::test]
async fn a_protected_membership_is_left_alone_by_a_change_and_refused_by_a_dry_run(
    #[case] guards: &[&str],
    #[case] named: &str,
    #[values("--provisioning", "--dry-run")] mode: &str,
) {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let pair = pair(&sandbox);
    hold(&sandbox, &pair, None);
    let mut command = change(&sandbox, "grant", "member", &pair.email);
    command.arg(mode).args(guards);
    let (printed, stderr, code) = done(command).await;
    assert_eq!((printed.as_str(), code), ("", Some(1)), "{stderr}");
    assert!(said(&stderr).contains(named), "{stderr}");
    assert_eq!((held(&sandbox, &pair), applied(&sandbox)), (None, 0));
}

#[rstest]
#[tokio::test]
async fn an_unknown_team_or_user_is_named_and_ends_with_1(
    #[values("--provisioning", "--dry-run")] mode: &str,
    #[values(0, 1, 2, 3)] which: usize,
) {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let pair = pair(&sandbox);
    let twin = sandbox.edit(|organization| {
        organization.add_person(Person::new("Twin", &pair.email));
        organization.person(pair.user).unwrap().email.clone()
    });
    let (user, stranger) = (pair.user.to_string(), Uuid::new_v4().to_string());
    let (team, user, named) = [
        ("taem-0", user.as_str(), "no team has the slug `taem-0`"),
        (
            TEAM,
            "nobody@sized.example",
            "nobody@sized.example is not in the buildkite organization",
        ),
        (TEAM, stranger.as_str(), "is not in the buildkite organization"),
        (
            TEAM,
            twin.as_str(),
            "2 users in the buildkite organization have the e-mail",
        ),
    ][which];
    let mut command = on(
        &sandbox,
        &["grant", "--team", team, "--role", "member", "--user", user, mode],
    );
    command.args(["--retry-for", "1s"]);
    let (printed, stderr, code) = done(command).await;
    assert_eq!((printed.as_str(), code), ("", Some(1)), "{stderr}");
    assert!(said(&stderr).contains(named), "{stderr}");
    assert_eq!(applied(&sandbox), 0);
}

#[tokio::test]
async fn a_team_that_may_be_hidden_is_not_called_absent() {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let pair = pair(&sandbox);
    assert!(sandbox.edit(|organization| organization.set_role(pair.user, OrganizationRole::Member)));
    let token = sandbox.mint(TokenSpec::owned_by(pair.user));
    let mut command = on(
        &sandbox,
        &["grant", "--team", "secret", "--role", "member", "--user", &pair.email],
    );
    command
        .env("BUILDKITE_API_TOKEN", token.expose_secret())
        .arg("--provisioning");
    let (_, stderr, code) = done(command).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(said(&stderr).contains("secret teams are hidden"), "{stderr}");
}

#[rstest]
#[case(&["--role", "owner", "--user", "ada@example.com"], "a role is `member` or `maintainer`")]
#[case(&["--role", "member", "--user", "ada"], "--user")]
#[case(&["--role", "member"], "--user")]
#[tokio::test]
async fn an_invalid_role_or_user_is_a_usage_error(#[case] arguments: &[&str], #[case] named: &str) {
    let sandbox = sandbox(sized(1, 1, 2)).await;
    let mut command = on(&sandbox, &["revoke", "--team", TEAM, "--provisioning"]);
    command.args(arguments);
    let (_, stderr, code) = done(command).await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains(named), "{stderr}");
    assert_eq!(sandbox.request_log().total(), 0);
}

#[tokio::test]
async fn a_grant_can_be_tried_without_an_account() {
    let command = crate::support::process::connector(&[
        "grant",
        "--sandbox",
        "--team",
        "platform",
        "--role",
        "member",
        "--user",
        "nobody@example.com",
        "--dry-run",
    ]);
    let (_, stderr, code) = done(command).await;
    assert_eq!(code, Some(1), "{stderr}");
    assert!(
        said(&stderr).contains("nobody@example.com is not in the buildkite organization"),
        "{stderr}"
    );
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_before_the_write_changes_nothing(
    #[values(Endpoint::Teams, Endpoint::OrganizationMembers, Endpoint::TeamMember)] stage: Endpoint,
    #[values(("INT", 130), ("TERM", 143))] signal: (&str, i32),
) {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let pair = pair(&sandbox);
    hold(&sandbox, &pair, None);
    let hangs = sandbox.faults().add(Fault::new(stage, FaultKind::Hang));
    let job = ConnectorProcess::start(provisioning(&sandbox, "grant", "member", &pair.email));
    until(|| hangs.fired() > 0).await;
    job.signal(signal.0);
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(signal.1), "{:#?}", ended.printed);
    assert_eq!(ended.printed.last().unwrap(), "error: interrupted: nothing was changed");
    assert_eq!((held(&sandbox, &pair), applied(&sandbox)), (None, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_while_a_write_is_under_way_ends_the_job_once_it_is_confirmed() {
    let sandbox = sandbox(sized(2, 3, 12)).await;
    let place = Place::new();
    let pair = pair(&sandbox);
    hold(&sandbox, &pair, None);
    let gate = buildkite_connector::sandbox::Gate::default();
    let held_up = sandbox
        .faults()
        .add(Fault::new(Endpoint::AddTeamMember, FaultKind::Held(gate.clone())));
    let mut command = provisioning(&sandbox, "grant", "member", &pair.email);
    command.args(["--audit-file", place.path("audit").to_str().unwrap()]);
    let mut job = ConnectorProcess::start(command);
    until(|| held_up.fired() > 0).await;
    job.signal("INT");
    job.event("interrupted");
    gate.open();
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(130), "{:#?}", ended.printed);
    let printed = ended.printed.join("\n");
    assert!(printed.contains("outcome     granted (member)"), "{printed}");
    assert!(
        printed.contains("error: interrupted: the change in progress was finished first"),
        "{printed}"
    );
    assert_eq!(held(&sandbox, &pair), MEMBER);
    assert_eq!(lines(&place.path("audit")).last().unwrap()["outcome"], "granted");
}

/// An organization behind a limit for its users, of which nothing is left.
async fn used_up(window: Duration) -> Sandbox {
    let limits = LimitOptions {
        user: Some(20),
        window,
        organization_offset: Some(Duration::ZERO),
        user_offset: Some(Duration::ZERO),
        ..LimitOptions::default()
    };
    let sandbox = Sandbox::start(Options {
        seed: sized(2, 3, 12),
        limits,
        ..Options::default()
    });
    let sandbox = sandbox.await.unwrap();
    sandbox.consume(Bucket::User, 20);
    sandbox
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_for_the_rate_limit_as_long_as_it_takes() {
    let sandbox = used_up(Duration::from_secs(3)).await;
    let pair = pair(&sandbox);
    hold(&sandbox, &pair, None);
    let ended = ended(provisioning(&sandbox, "grant", "member", &pair.email)).await;
    assert_eq!(ended.status.code(), Some(0), "{:#?}", ended.printed);
    assert_eq!(held(&sandbox, &pair), MEMBER);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_longest_wait_that_is_given_and_would_be_exceeded_ends_with_3() {
    let sandbox = used_up(Duration::from_secs(600)).await;
    let pair = pair(&sandbox);
    let mut command = provisioning(&sandbox, "grant", "member", &pair.email);
    command.args(["--max-wait", "1s"]);
    let ended = ended(command).await;
    assert_eq!(ended.status.code(), Some(3), "{:#?}", ended.printed);
    assert_eq!(applied(&sandbox), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_ends_the_wait_for_the_rate_limit() {
    // Longer than the test waits for the end, and than any wait of a server for a grant.
    let sandbox = used_up(Duration::from_secs(3_600)).await;
    let pair = pair(&sandbox);
    let job = ConnectorProcess::start(provisioning(&sandbox, "grant", "member", &pair.email));
    until(|| sandbox.refused(Bucket::User) > 0).await;
    job.signal("INT");
    let ended = tokio::task::spawn_blocking(|| job.ended()).await.unwrap();
    assert_eq!(ended.status.code(), Some(130), "{:#?}", ended.printed);
    assert_eq!(ended.printed.last().unwrap(), "error: interrupted: nothing was changed");
    assert_eq!(applied(&sandbox), 0);
}
