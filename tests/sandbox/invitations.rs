//! Invitations: their list, their life cycle, and what is refused.

use buildkite_connector::sandbox::{CursorBody, InviteAgain, Link, OrganizationRole, SingleSignOn, TeamRole, WriteLag};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::probe::{Probe, Reply};

async fn invite(probe: &Probe, body: Value) -> Reply {
    probe.write(Method::POST, &probe.path("invitations"), body).await
}

fn emails(reply: &Reply) -> Vec<String> {
    let items = reply.json()["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|row| row["email"].as_str().unwrap().to_owned())
        .collect()
}

fn invited(probe: &Probe, email: &str) -> Uuid {
    probe
        .sandbox
        .with_organization(|organization| organization.pending_invitation(email).unwrap().id)
}

#[tokio::test]
async fn the_list_has_the_pending_ones_newest_first_and_one_is_read_in_any_state() {
    let probe = Probe::full().await;
    let list = probe.get(&probe.path("invitations")).await;
    assert_eq!(
        emails(&list),
        ["kofi@contractor.example", "Freya@northwind-rail.example"]
    );
    let freya = list.json()["items"][1].clone();
    assert_eq!(freya["teams"][0]["slug"], "timetables");
    assert_eq!(freya["teams"][0].get("role"), None);
    assert_eq!(freya["created_by"].as_object().unwrap().len(), 3);
    for (position, state) in ["accepted", "expired", "revoked", "pending", "pending"]
        .into_iter()
        .enumerate()
    {
        let id = probe.sandbox.organization().invitations()[position].id;
        let one = probe.get(&probe.path(&format!("invitations/{id}"))).await.json();
        assert_eq!((&one["state"], &one["id"]), (&json!(state), &json!(id)));
        assert_eq!(one["accepted_at"].is_string(), state == "accepted");
        assert_eq!(one["revoked_at"].is_string(), state == "revoked");
        assert_eq!(one["expired_at"].is_string(), state == "expired");
    }
    let viktor = probe.sandbox.organization().invitations()[0].id;
    let one = probe.get(&probe.path(&format!("invitations/{viktor}"))).await.json();
    assert_eq!(one["accepted_by"]["id"], json!(probe.person("viktor")));
}

#[tokio::test]
async fn a_page_has_at_most_as_many_rows_as_the_server_returns() {
    let probe = Probe::full().await;
    probe.sandbox.change_behaviors(|behaviors| behaviors.per_page_cap = 1);
    let page = probe.get(&probe.path("invitations?per_page=100")).await;
    assert_eq!(emails(&page).len(), 1);
    assert!(page.json()["links"]["next"].as_str().unwrap().contains("after="));
}

#[tokio::test]
async fn pages_are_read_by_cursor_in_both_directions() {
    let seed = buildkite_connector::sandbox::Seed::Sized(buildkite_connector::sandbox::Size {
        teams: 0,
        people: 1,
        invitations: 70,
        ..buildkite_connector::sandbox::Size::default()
    });
    let options = buildkite_connector::sandbox::Options {
        seed,
        limits: buildkite_connector::sandbox::LimitOptions::unlimited(),
        ..buildkite_connector::sandbox::Options::default()
    };
    let probe = Probe::start(options).await.with_all_scopes();
    let origin = probe.sandbox.url().to_owned();
    let mut found = Vec::new();
    let mut next = Some(probe.path("invitations"));
    let mut pages = 0;
    while let Some(path) = next {
        let reply = probe.get(&path).await;
        found.extend(emails(&reply));
        let links = reply.json()["links"].clone();
        assert!(links["self"].is_string());
        assert_eq!(links["next"].as_str().map(str::to_owned), reply.link("next"));
        next = reply
            .link("next")
            .map(|url| url.strip_prefix(&origin).unwrap().to_owned());
        pages += 1;
    }
    let expected: Vec<String> = (0..70)
        .rev()
        .map(|number| format!("invited-{number}@sized.example"))
        .collect();
    assert_eq!((pages, found), (3, expected));
    // `before` is the page just newer than its cursor.
    let second = probe
        .get(&probe.path("invitations?per_page=10"))
        .await
        .link("next")
        .unwrap();
    let cursor = second.split("after=").nth(1).unwrap().split('&').next().unwrap();
    let before = probe
        .get(&probe.path(&format!("invitations?per_page=4&before={cursor}")))
        .await;
    let expected = [64, 63, 62, 61].map(|number| format!("invited-{number}@sized.example"));
    assert_eq!(emails(&before), expected);
}

#[rstest]
#[case("per_page=101")]
#[case("per_page=0")]
#[case("after=nonsense")]
#[case("after[]=a")]
#[case("before=bm9uZQ==")]
#[tokio::test]
async fn a_wrong_page_is_400(#[case] query: &str) {
    let probe = Probe::full().await;
    for list in ["invitations", "audit_events"] {
        let reply = probe.get(&probe.path(&format!("{list}?{query}"))).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{list}");
    }
}

#[tokio::test]
async fn both_cursors_together_are_400_and_a_cursor_outlives_its_row() {
    let probe = Probe::full().await;
    let first = probe
        .get(&probe.path("invitations?per_page=1"))
        .await
        .link("next")
        .unwrap();
    let cursor = first.split("after=").nth(1).unwrap();
    let both = probe.path(&format!("invitations?after={cursor}&before={cursor}"));
    assert_eq!(probe.get(&both).await.status, StatusCode::BAD_REQUEST);
    let kofi = invited(&probe, "kofi@contractor.example");
    probe.delete(&probe.path(&format!("invitations/{kofi}"))).await;
    let rest = probe
        .get(&probe.path(&format!("invitations?per_page=1&after={cursor}")))
        .await;
    assert_eq!(emails(&rest), ["Freya@northwind-rail.example"]);
}

#[tokio::test]
async fn a_list_may_be_a_bare_array_or_have_other_links() {
    let probe = Probe::full().await;
    let path = probe.path("invitations?per_page=1");
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.cursor_body = CursorBody::Array);
    let reply = probe.get(&path).await;
    assert_eq!((reply.rows().len(), reply.link("next").is_some()), (1, true));
    probe.sandbox.change_behaviors(|behaviors| {
        behaviors.cursor_body = CursorBody::Envelope;
        behaviors.link = Link::Never;
    });
    let reply = probe.get(&path).await;
    assert_eq!(
        (reply.header("link"), reply.json()["links"]["next"].is_string()),
        (None, true)
    );
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.link = Link::ForeignHost);
    let reply = probe.get(&path).await;
    assert!(reply.link("next").unwrap().starts_with("https://elsewhere.invalid/v2/"));
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.link = Link::WrongNext);
    let last = probe.get(&probe.path("invitations")).await.link("next").unwrap();
    let empty = probe.get(last.strip_prefix(probe.sandbox.url()).unwrap()).await;
    assert!(emails(&empty).is_empty());
}

#[tokio::test]
async fn an_accepted_invitation_makes_a_member_with_its_role_and_teams() {
    let probe = Probe::full().await;
    let team = probe.team("mobile").id;
    let body = json!({ "emails": ["New@northwind-rail.example", "new@Northwind-Rail.example"], "role": "admin",
        "teams": [{ "id": team, "role": "maintainer" }] });
    let reply = invite(&probe, body).await;
    assert_eq!((reply.status, reply.rows().len()), (StatusCode::CREATED, 1));
    let members = probe.get(&probe.path("members")).await;
    assert!(!members.text.contains("New@northwind-rail.example"));
    let id = invited(&probe, "new@northwind-rail.example");
    let user = probe
        .sandbox
        .edit(|organization| organization.accept_invitation(id))
        .unwrap();
    let one = probe.get(&probe.path(&format!("invitations/{id}"))).await.json();
    assert_eq!(
        (&one["state"], &one["accepted_by"]["id"]),
        (&json!("accepted"), &json!(user))
    );
    assert_eq!(probe.team("mobile").role_of(user), Some(TeamRole::Maintainer));
    assert_eq!(probe.team("everyone").role_of(user), Some(TeamRole::Member));
    let role = |organization: &buildkite_connector::sandbox::Organization| organization.person(user).unwrap().role;
    assert_eq!(probe.sandbox.with_organization(role), OrganizationRole::Admin);
    let revoked = probe.delete(&probe.path(&format!("invitations/{id}"))).await;
    assert_eq!(revoked.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        probe
            .sandbox
            .edit(|organization| organization.accept_invitation(id))
            .is_none()
    );
}

#[tokio::test]
async fn a_pending_invitation_left_behind_gives_a_removed_person_access_again() {
    let probe = Probe::full().await;
    // The first sign-in makes a member; the invitation stays pending.
    let join = |organization: &mut buildkite_connector::sandbox::Organization| {
        organization.join_by_single_sign_on("FREYA@northwind-rail.example")
    };
    let freya = probe.sandbox.edit(join);
    let id = invited(&probe, "freya@northwind-rail.example");
    let path = probe.path(&format!("members/{freya}"));
    assert_eq!(probe.get(&path).await.status, StatusCode::OK);
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    let again = probe.sandbox.edit(|organization| organization.accept_invitation(id));
    assert_eq!(again, Some(freya));
    assert_eq!(probe.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_pending_invitation_is_revoked_once() {
    let probe = Probe::full().await;
    let id = invited(&probe, "kofi@contractor.example");
    let path = probe.path(&format!("invitations/{id}"));
    assert_eq!(probe.delete(&path).await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        probe.get(&path).await.json()["revoked_by"]["id"],
        json!(probe.sandbox.owner())
    );
    assert_eq!(probe.delete(&path).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!probe.sandbox.edit(|organization| organization.expire_invitation(id)));
    let unknown = probe.path(&format!("invitations/{}", Uuid::new_v4()));
    assert_eq!(probe.delete(&unknown).await.status, StatusCode::NOT_FOUND);
    let freya = invited(&probe, "freya@northwind-rail.example");
    assert!(probe.sandbox.edit(|organization| organization.expire_invitation(freya)));
    let path = probe.path(&format!("invitations/{freya}"));
    assert_eq!(probe.delete(&path).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[rstest]
#[case(json!({ "emails": [] }))]
#[case(json!({ "emails": "new@example.com" }))]
#[case(json!({ "emails": ["new@example.com", "nonsense"] }))]
#[case(json!({ "emails": ["new@example.com", "AMARA@northwind-rail.example"] }))]
#[case(json!({ "emails": ["new@example.com", "freya@northwind-rail.example"] }))]
#[case(json!({ "emails": ["new@example.com"], "role": "owner" }))]
#[case(json!({ "emails": ["new@example.com"], "sso_mode": "required" }))]
#[case(json!({ "emails": ["new@example.com"], "teams": [{ "id": "TEAM" }] }))]
#[case(json!({ "emails": ["new@example.com"], "teams": [{ "id": Uuid::new_v4(), "role": "member" }] }))]
#[case(json!({ "emails": ["new@example.com"], "teams": [
    { "id": "TEAM", "role": "member" }, { "id": "TEAM", "role": "maintainer" }] }))]
#[tokio::test]
async fn a_batch_with_anything_wrong_invites_nobody(#[case] body: Value) {
    let probe = Probe::full().await;
    let body = body.to_string().replace("TEAM", &probe.team("mobile").id.to_string());
    let reply = invite(&probe, serde_json::from_str(&body).unwrap()).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(probe.sandbox.organization().invitations().len(), 5);
    assert!(!probe.sandbox.requests()[0].applied);
}

#[rstest]
#[case(json!({ "emails": ["new@example.com"] }), 422)]
#[case(json!({ "emails": ["new@example.com"], "sso_mode": "always" }), 422)]
#[case(json!({ "emails": ["new@example.com"], "sso_mode": "optional" }), 201)]
#[tokio::test]
async fn with_single_sign_on_an_invitation_names_its_mode(#[case] body: Value, #[case] status: u16) {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.single_sign_on = SingleSignOn::On);
    assert_eq!(invite(&probe, body).await.status, status);
}

#[tokio::test]
async fn the_quota_counts_pending_invitations_and_a_second_one_is_a_behavior() {
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.invite_again = InviteAgain::Created);
    let again = invite(&probe, json!({ "emails": ["freya@northwind-rail.example"] })).await;
    assert_eq!(again.status, StatusCode::CREATED);
    probe.sandbox.edit(|organization| organization.invitation_quota = 4);
    let two = json!({ "emails": ["one@example.com", "two@example.com"] });
    assert_eq!(invite(&probe, two).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let one = invite(&probe, json!({ "emails": ["one@example.com"] })).await;
    assert_eq!(one.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_member_may_not_invite_and_a_new_invitation_may_show_late() {
    let probe = Probe::full().await.acting_as("amara");
    assert_eq!(
        probe.get(&probe.path("invitations")).await.status,
        StatusCode::FORBIDDEN
    );
    let reply = invite(&probe, json!({ "emails": ["new@example.com"] })).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let probe = Probe::full().await;
    probe
        .sandbox
        .change_behaviors(|behaviors| behaviors.write_lag = WriteLag::Reads(1));
    invite(&probe, json!({ "emails": ["new@example.com"] })).await;
    let list = probe.path("invitations");
    assert_eq!(emails(&probe.get(&list).await).len(), 2);
    assert_eq!(emails(&probe.get(&list).await)[0], "new@example.com");
}
