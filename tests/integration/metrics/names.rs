//! Every name and every label of the metrics, compared with a list; no label holds personal data.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Endpoint, Fault, FaultKind, LimitOptions, Options, RateLimitStyle, Sandbox, TokenSpec,
};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tonic::Code;
use uuid::Uuid;

use super::scrape::{Scrape, call};
use crate::support::process::ConnectorProcess;
use crate::support::{first_team, unknown_entitlement};

/// A small company behind rate limits whose windows are short, and a token that ends.
async fn company() -> (Sandbox, SecretString) {
    let limits = LimitOptions {
        organization: Some(400),
        user: Some(200),
        window: Duration::from_secs(2),
        ..LimitOptions::default()
    };
    let sandbox = Sandbox::start(Options {
        limits,
        ..Options::default()
    })
    .await
    .unwrap();
    let token = sandbox.mint(TokenSpec {
        expires_at: Some(Timestamp::now() + SignedDuration::from_hours(24 * 90)),
        ..TokenSpec::owned_by(sandbox.owner())
    });
    (sandbox, token)
}

/// A member of the organization outside the team.
fn outsider(sandbox: &Sandbox, team: Uuid) -> String {
    sandbox.with_organization(|organization| {
        let team = organization.team(team).unwrap();
        let person = organization
            .people()
            .iter()
            .find(|person| team.role_of(person.id).is_none());
        person.unwrap().id.to_string()
    })
}

/// A sync with trouble on the way, every outcome of a grant and a revoke, and a few calls that fail: what a monitor reads then.
async fn a_day(sandbox: &Sandbox, token: &SecretString) -> Scrape {
    let slug = |team: Uuid| sandbox.with_organization(|organization| organization.team(team).unwrap().slug.clone());
    let teams: Vec<Uuid> =
        sandbox.with_organization(|organization| organization.teams().iter().map(|team| team.id).collect());
    let &[_, team, guarded, ..] = teams.as_slice() else {
        panic!("too few teams")
    };
    let guard = format!("--protect-team={}", slug(guarded));
    let monitored = ConnectorProcess::monitored_with(sandbox, token, &["--provisioning", &guard]);

    let refusal = FaultKind::RateLimited(Bucket::User, RateLimitStyle::Documented);
    let outage = FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Html);
    sandbox.faults().add(Fault::new(Endpoint::Teams, refusal).once());
    let people = Endpoint::OrganizationMembers;
    sandbox.faults().add(Fault::new(people, outage).once());
    sandbox.faults().add(Fault::new(people, FaultKind::ResetBefore).once());
    let platform = monitored.platform().await;
    platform.sync().await.unwrap();

    let (to, user) = (team.to_string(), outsider(sandbox, team));
    platform.grant(&to, "member", &user).await.unwrap();
    platform.grant(&to, "member", &user).await.unwrap();
    platform.grant(&to, "maintainer", &user).await.unwrap();
    platform.revoke(&to, "maintainer", &user).await.unwrap();
    platform.revoke(&to, "maintainer", &user).await.unwrap();
    let refused = platform.grant(&guarded.to_string(), "member", &user).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let unknown = unknown_entitlement("team:nowhere:member");
    platform.grant_exactly(unknown, "user", &user).await.unwrap_err();

    let channel = monitored.channel().await;
    call(&channel, "/grpc.health.v1.Health/Check").await.unwrap();
    for path in ["/c1.connector.v2.SchemaService/ListSchemas", "/northwind-rail/everyone"] {
        call(&channel, path).await.unwrap_err();
    }
    monitored.scrape().await
}

/// Each metric with its type, and below it the labels of each of its series.
fn listed(scrape: &Scrape) -> String {
    let mut list = String::new();
    for (name, kind) in &scrape.types {
        let mut series = BTreeSet::new();
        let mut rest = BTreeSet::new();
        for told in scrape.values.keys() {
            let (told_name, labels) = told.split_once('{').unwrap_or((told, "}"));
            let suffix = told_name.strip_prefix(name.as_str());
            let is_ours = match kind.as_str() {
                "histogram" => suffix.is_some_and(|suffix| ["_bucket", "_sum", "_count"].contains(&suffix)),
                _ => suffix == Some(""),
            };
            if is_ours {
                let labels = labels.trim_end_matches('}');
                let (labels, bound) = labels.split_once(",le=").unwrap_or((labels, ""));
                series.insert(
                    labels
                        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
                        .replace(env!("BUILD_COMMIT"), "COMMIT"),
                );
                rest.insert(bound.trim_matches('"').to_owned());
            }
        }
        writeln!(list, "{name} {kind}").unwrap();
        if kind == "histogram" {
            let mut bounds: Vec<f64> = rest.iter().filter_map(|bound| bound.parse().ok()).collect();
            bounds.sort_by(f64::total_cmp);
            writeln!(list, "  le {bounds:?}").unwrap();
        }
        for labels in series.iter().filter(|labels| !labels.is_empty()) {
            writeln!(list, "  {labels}").unwrap();
        }
    }
    list
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_labels_are_as_listed() {
    let (sandbox, token) = company().await;
    let scrape = a_day(&sandbox, &token).await;
    insta::assert_snapshot!(listed(&scrape));
    // A type without a help, or the other way round, is half a metric.
    assert!(scrape.types.keys().eq(scrape.helps.keys()), "{}", scrape.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_no_person_no_team_and_no_organization_is_named() {
    let (sandbox, token) = company().await;
    let text = a_day(&sandbox, &token).await.text.to_lowercase();
    let mut names = vec![token.expose_secret().to_owned(), sandbox.slug().to_owned()];
    sandbox.with_organization(|organization| {
        names.extend([organization.id.to_string(), organization.name.clone()]);
        for person in organization.people() {
            names.extend([person.id.to_string(), person.name.clone(), person.email.clone()]);
        }
        for team in organization.teams() {
            names.extend([team.id.to_string(), format!("\"{}\"", team.slug), team.name.clone()]);
        }
    });
    for name in names {
        assert!(!text.contains(&name.to_lowercase()), "`{name}` is named in {text}");
    }
    assert!(!text.contains(&first_team(&sandbox).simple().to_string()));
}
