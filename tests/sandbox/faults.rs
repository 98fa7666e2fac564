//! Each fault strikes what it is aimed at, does what it says, and is counted.

use std::time::{Duration, Instant};

use buildkite_connector::sandbox::{
    BodyStyle, Bucket, Edit, Endpoint, Fault, FaultKind, Gate, HeaderChange, LinkChange, Options, Order,
    RateLimitStyle, TeamRole,
};
use http::{Method, StatusCode};
use rstest::rstest;
use serde_json::json;

use crate::probe::{Probe, Reply};

/// Arms the fault for the organization's members and requests them.
async fn struck(probe: &Probe, kind: FaultKind) -> reqwest::Result<Reply> {
    let fault = probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, kind).once());
    let reply = probe.try_get(&probe.path("members")).await;
    assert_eq!(fault.fired(), 1);
    let next = probe.get(&probe.path("members")).await;
    assert_eq!(
        (next.status, next.rows().is_empty(), fault.fired()),
        (StatusCode::OK, false, 1)
    );
    reply
}

#[rstest]
#[case(BodyStyle::Message, "{")]
#[case(BodyStyle::Empty, "")]
#[case(BodyStyle::Html, "<!DOCTYPE html>")]
#[tokio::test]
async fn a_status_comes_with_any_body(#[case] style: BodyStyle, #[case] start: &str) {
    let probe = Probe::example().await;
    let reply = struck(&probe, FaultKind::Status(StatusCode::BAD_GATEWAY, style))
        .await
        .unwrap();
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert!(reply.text.starts_with(start));
    assert_eq!(reply.text.is_empty(), style == BodyStyle::Empty);
}

#[tokio::test]
async fn html_may_come_as_a_success() {
    let probe = Probe::example().await;
    let reply = struck(&probe, FaultKind::Html200).await.unwrap();
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (StatusCode::OK, Some("text/html"))
    );
}

#[rstest]
#[case(FaultKind::WrongShape(json!({ "items": [] })), "{\"items\":[]}")]
#[case(FaultKind::Text("[1,".to_owned()), "[1,")]
#[case(FaultKind::NullBody, "null")]
#[case(FaultKind::EmptyBody, "")]
#[tokio::test]
async fn a_success_may_hold_something_else(#[case] kind: FaultKind, #[case] body: &str) {
    let probe = Probe::example().await;
    let reply = struck(&probe, kind).await.unwrap();
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::OK, body));
}

#[rstest]
#[case(
    FaultKind::AnsweredAs(StatusCode::PARTIAL_CONTENT),
    StatusCode::PARTIAL_CONTENT,
    Some("application/json; charset=utf-8")
)]
#[case(
    FaultKind::ContentType(Some("text/html".to_owned())),
    StatusCode::OK,
    Some("text/html")
)]
#[case(FaultKind::ContentType(None), StatusCode::OK, None)]
#[tokio::test]
async fn the_true_answer_may_come_under_another_status_or_content_type(
    #[case] kind: FaultKind,
    #[case] status: StatusCode,
    #[case] content_type: Option<&str>,
) {
    let probe = Probe::example().await;
    let truth = probe.get(&probe.path("members")).await;
    let reply = struck(&probe, kind).await.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (status, content_type));
    assert_eq!(reply.text, truth.text);
}

#[tokio::test]
async fn a_hang_never_answers() {
    let probe = Probe::example().await;
    let hang = probe.sandbox.faults().add(Fault::new(Endpoint::User, FaultKind::Hang));
    let asked = probe.get("/v2/user");
    let waited = async {
        while hang.fired() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = asked => panic!("it was answered"),
        () = waited => {}
    }
    assert_eq!(probe.get("/v2/access-token").await.status, StatusCode::OK);
    // Stopping does not wait for it.
    probe.sandbox.stop().await;
}

#[tokio::test]
async fn a_delay_answers_late_and_truly() {
    let probe = Probe::example().await;
    let started = Instant::now();
    let reply = struck(&probe, FaultKind::Delay(Duration::from_millis(80)))
        .await
        .unwrap();
    assert_eq!(reply.rows().len(), 14);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_gate_holds_the_true_response_until_it_is_opened() {
    let probe = Probe::example().await;
    let gate = Gate::default();
    let faults = probe.sandbox.faults();
    faults.add(Fault::new(Endpoint::User, FaultKind::Held(gate.clone())));
    let mut held = Box::pin(probe.get("/v2/user"));
    assert!(futures::poll!(held.as_mut()).is_pending());
    // Other requests get their responses meanwhile.
    assert_eq!(probe.get("/v2/access-token").await.status, StatusCode::OK);
    assert!(futures::poll!(held.as_mut()).is_pending());
    gate.open();
    assert_eq!(held.await.status, StatusCode::OK);
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_may_break_off_in_the_middle() {
    let probe = Probe::example().await;
    let error = struck(&probe, FaultKind::Truncated).await.err().unwrap();
    // The head came through: it is the body that cannot be read.
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(probe.sandbox.request_log().count_status(200), 2);
}

#[rstest]
#[case(FaultKind::ResetBefore, None, false)]
#[case(FaultKind::ResetAfter, None, true)]
#[case(FaultKind::AppliedThenStatus(StatusCode::SERVICE_UNAVAILABLE), Some(503), true)]
#[case(
    FaultKind::Status(StatusCode::SERVICE_UNAVAILABLE, BodyStyle::Message),
    Some(503),
    false
)]
#[tokio::test]
async fn a_write_without_a_response_may_be_applied_or_not(
    #[case] kind: FaultKind,
    #[case] status: Option<u16>,
    #[case] applied: bool,
) {
    let probe = Probe::example().await;
    let viktor = probe.person("viktor");
    let fault = probe.sandbox.faults().add(Fault::new(Endpoint::AddTeamMember, kind));
    let body = json!({ "user_id": viktor, "role": "member" });
    let token = secrecy::ExposeSecret::expose_secret(probe.sandbox.token()).to_owned();
    let reply = probe
        .send(Method::POST, &probe.members("platform"), &token, Some(body))
        .await;
    assert_eq!(reply.ok().map(|reply| reply.status.as_u16()), status);
    assert_eq!(probe.team("platform").role_of(viktor).is_some(), applied);
    let request = &probe.sandbox.requests()[0];
    assert_eq!((request.status, request.applied, fault.fired()), (status, applied, 1));
}

#[tokio::test]
async fn a_redirect_leads_to_its_configured_target() {
    let probe = Probe::example().await;
    let reply = struck(&probe, FaultKind::Redirect("https://elsewhere.invalid/".to_owned()))
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.header("location")),
        (StatusCode::FOUND, Some("https://elsewhere.invalid/"))
    );
}

#[tokio::test]
async fn a_page_may_repeat_the_first() {
    let probe = Probe::example().await;
    let first = probe.get(&probe.path("members?per_page=4")).await;
    let fault = probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, FaultKind::RepeatPage).on_page(3));
    let third = probe.get(&probe.path("members?per_page=4&page=3")).await;
    assert_eq!(
        (third.text, third.headers["link"].clone()),
        (first.text, first.headers["link"].clone())
    );
    assert_eq!(fault.fired(), 1);
}

#[tokio::test]
async fn a_page_may_replay_the_previous_answer_of_its_list() {
    let probe = Probe::sized(2, 60, 60).await;
    let fault = probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::TeamMembers, FaultKind::ReplayPrevious).once());
    let first = probe.get(&(probe.members("team-0") + "?per_page=50")).await;
    let other = probe.get(&probe.members("team-1")).await;
    assert_eq!(fault.fired(), 0);
    assert_eq!(
        probe.get(&(probe.members("team-0") + "?per_page=50&page=2")).await.text,
        first.text
    );
    assert_ne!(other.text, first.text);
    assert_eq!(fault.fired(), 1);
}

#[tokio::test]
async fn a_page_may_be_short_with_the_links_of_the_whole_list() {
    let probe = Probe::example().await;
    probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::OrganizationMembers, FaultKind::ShortPage(3)));
    let reply = probe.get(&probe.path("members?per_page=5")).await;
    assert_eq!(
        (reply.rows().len(), reply.link("last").unwrap().ends_with("page=3")),
        (3, true)
    );
}

#[rstest]
#[case(RateLimitStyle::Documented, Some("rest"), true)]
#[case(RateLimitStyle::Scope("rest_team".to_owned()), Some("rest_team"), true)]
#[case(RateLimitStyle::NoHeaders, Some("rest"), false)]
#[case(RateLimitStyle::MessageOnly, None, true)]
#[tokio::test]
async fn a_429_may_come_in_any_shape(
    #[case] style: RateLimitStyle,
    #[case] scope: Option<&str>,
    #[case] headers: bool,
) {
    let probe = Probe::example().await;
    let reply = struck(&probe, FaultKind::RateLimited(Bucket::Organization, style))
        .await
        .unwrap();
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(reply.json().get("scope").and_then(|scope| scope.as_str()), scope);
    assert_eq!(reply.header("RateLimit-Remaining").is_some(), headers);
    assert_eq!(reply.header("RateLimit-Warning").is_some(), headers);
    // Nothing was really used up.
    assert_eq!(probe.sandbox.refused(Bucket::Organization), 0);
}

#[rstest]
#[case(RateLimitStyle::Empty, "")]
#[case(RateLimitStyle::NotJson, "Too many requests\n")]
#[tokio::test]
async fn a_429_may_be_no_json(#[case] style: RateLimitStyle, #[case] body: &str) {
    let probe = Probe::example().await;
    let reply = struck(&probe, FaultKind::RateLimited(Bucket::User, style))
        .await
        .unwrap();
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (StatusCode::TOO_MANY_REQUESTS, body)
    );
    assert_eq!(reply.header("RateLimit-User-Remaining"), Some("-1"));
}

#[rstest]
#[case(HeaderChange::Dropped, None, None)]
#[case(HeaderChange::NegativeRemaining, Some("-14"), Some("true"))]
#[case(HeaderChange::HugeReset, Some("199"), Some("604800"))]
#[case(HeaderChange::NonNumericReset, Some("199"), Some("soon"))]
#[case(HeaderChange::ZeroReset, Some("0"), Some("0"))]
#[tokio::test]
async fn rate_limit_headers_may_lie(
    #[case] change: HeaderChange,
    #[case] remaining: Option<&str>,
    #[case] reset: Option<&str>,
) {
    let probe = Probe::start(Options::default()).await;
    let reply = struck(&probe, FaultKind::Headers(change)).await.unwrap();
    assert_eq!(reply.header("RateLimit-Remaining"), remaining);
    match reset {
        Some("true") => assert!(reply.header("RateLimit-Reset").unwrap().parse::<u64>().unwrap() <= 60),
        _ => assert_eq!(reply.header("RateLimit-Reset"), reset),
    }
    assert_eq!(reply.rows().len(), 14);
}

/// The first rows of the next page, after the edit was made between the two.
async fn second_page_after(edit: Edit, order: Order) -> (Vec<String>, Vec<String>) {
    let probe = Probe::with_behaviors(|behaviors| behaviors.order = order).await;
    let before = probe.get(&probe.path("members")).await.column("id");
    let fault = Fault::new(Endpoint::OrganizationMembers, FaultKind::MoveRows(edit)).on_page(2);
    let fault = probe.sandbox.faults().add(fault);
    let page = probe.get(&probe.path("members?per_page=5&page=2")).await.column("id");
    assert_eq!(fault.fired(), 1);
    (before, page)
}

#[rstest]
#[case(Order::OldestFirst)]
#[case(Order::NewestFirst)]
#[tokio::test]
async fn a_row_that_goes_ahead_of_the_reader_hides_one(#[case] order: Order) {
    let (before, page) = second_page_after(Edit::RemoveAhead, order).await;
    assert_eq!(page, before[6..11]);
}

#[rstest]
#[case(Order::OldestFirst)]
#[case(Order::NewestFirst)]
#[tokio::test]
async fn a_row_that_appears_ahead_of_the_reader_shows_one_twice(#[case] order: Order) {
    let (before, page) = second_page_after(Edit::InsertAhead, order).await;
    assert_eq!(page, before[4..9]);
}

#[tokio::test]
async fn a_row_removed_and_added_again_moves_to_the_end() {
    let (before, page) = second_page_after(Edit::RemoveAndAddAgain, Order::OldestFirst).await;
    assert_eq!(page, before[6..11]);
}

#[rstest]
#[case(Endpoint::Teams)]
#[case(Endpoint::TeamMembers)]
#[tokio::test]
async fn the_other_lists_move_too(#[case] endpoint: Endpoint) {
    let probe = Probe::sized(3, 3, 4).await;
    let path = if endpoint == Endpoint::Teams {
        probe.path("teams")
    } else {
        probe.members("team-2")
    };
    let field = if endpoint == Endpoint::Teams { "id" } else { "user_id" };
    let before = probe.get(&path).await.column(field);
    for (edit, rows) in [
        (Edit::RemoveAndAddAgain, 3),
        (Edit::InsertAhead, 4),
        (Edit::RemoveAhead, 3),
    ] {
        probe.sandbox.faults().clear();
        probe
            .sandbox
            .faults()
            .add(Fault::new(endpoint, FaultKind::MoveRows(edit)));
        assert_eq!(probe.get(&path).await.rows().len(), rows);
    }
    let moved = [&before[1], &before[2], &before[0]];
    probe.sandbox.faults().clear();
    assert_eq!(probe.get(&path).await.column(field).iter().collect::<Vec<_>>(), moved);
}

#[tokio::test]
async fn any_edit_can_be_made_in_the_middle_of_a_listing() {
    let probe = Probe::example().await;
    let (team, viktor) = (probe.team("platform").id, probe.person("viktor"));
    let edit = Edit::with(move |organization| {
        organization.set_membership(team, viktor, TeamRole::Maintainer);
    });
    let fault = Fault::new(Endpoint::TeamMembers, FaultKind::MoveRows(edit))
        .on_team(team)
        .once();
    let fault = probe.sandbox.faults().add(fault);
    probe.get(&probe.members("mobile")).await;
    assert_eq!(fault.fired(), 0);
    let members = probe.get(&probe.members("platform")).await.column("user_id");
    assert!(members.contains(&viktor.to_string()));
}

#[tokio::test]
async fn a_fault_skips_and_fires_as_often_as_configured() {
    let probe = Probe::example().await;
    let kind = FaultKind::Status(StatusCode::BAD_GATEWAY, BodyStyle::Message);
    let fault = probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, kind.clone()).after(1).times(2));
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(probe.get("/v2/user").await.status.as_u16());
    }
    assert_eq!((statuses, fault.fired()), (vec![200, 502, 502, 200], 2));
    let endless = probe.sandbox.faults().add(Fault::new(Endpoint::User, kind));
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::BAD_GATEWAY);
    endless.remove();
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_over_the_limit_meets_no_fault() {
    let probe = Probe::start(Options::default()).await;
    let fault = probe
        .sandbox
        .faults()
        .add(Fault::new(Endpoint::Any, FaultKind::Html200));
    probe.sandbox.consume(Bucket::User, 1_000);
    assert_eq!(probe.get("/v2/user").await.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(fault.fired(), 0);
}

#[tokio::test]
async fn latency_holds_for_every_request_and_requests_overlap() {
    let probe = Probe::start(Options {
        latency: Duration::from_millis(100),
        ..Options::default()
    })
    .await;
    let started = Instant::now();
    tokio::join!(probe.get("/v2/user"), probe.get("/v2/access-token"));
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(probe.sandbox.request_log().peak_in_flight(), 2);
    assert_eq!(
        (
            probe.sandbox.request_log().total(),
            probe.sandbox.request_log().count(Endpoint::User)
        ),
        (2, 1)
    );
}

#[rstest]
#[case("team-members:status=502:times=3")]
#[case("any:status=503:body=html")]
#[case("teams:move=remove:page=2")]
#[case("any:delay=200ms:after=5")]
#[case("organization-members:shape={}")]
#[case("add-team-member:reset=after")]
#[case("teams:text=[1,:times=2")]
#[case("add-team-member:answered-as=202")]
#[case("teams:content-type=text/html")]
#[case("teams:content-type=none")]
#[case("teams:rate-limited=rest_user")]
#[case("teams:headers=huge")]
#[case("teams:link=dropped:page=3")]
#[case("teams:link=5")]
fn a_fault_can_be_written_as_text(#[case] text: &str) {
    text.parse::<Fault>().unwrap();
}

#[rstest]
#[case("teams", "ENDPOINT:KIND")]
#[case("rules:hang", "`rules` names no endpoint")]
#[case("teams:status=99999", "`status=99999`")]
#[case("teams:explode", "`explode`")]
#[case("teams:hang:times=often", "`times=often`")]
#[case("teams:hang:body=html", "`body=html`")]
fn an_invalid_fault_names_the_invalid_part(#[case] text: &str, #[case] part: &str) {
    assert!(text.parse::<Fault>().unwrap_err().to_string().contains(part));
}

#[tokio::test]
async fn the_link_of_a_list_may_be_missing_or_lie_beside_another_fault() {
    let probe = Probe::example().await;
    let path = format!("{}?per_page=2", probe.path("members"));
    let arm = |kind| {
        probe
            .sandbox
            .faults()
            .add(Fault::new(Endpoint::OrganizationMembers, kind))
    };
    assert!(probe.get(&path).await.header("link").is_some());
    let dropped = arm(FaultKind::Links(LinkChange::Dropped));
    arm(FaultKind::ShortPage(1));
    let short = probe.get(&path).await;
    assert_eq!((short.header("link"), short.rows().len()), (None, 1));
    dropped.remove();
    arm(FaultKind::Links(LinkChange::Last(5)));
    let lying = probe.get(&path).await;
    let link = lying.header("link").unwrap();
    assert!(
        link.contains("page=5>; rel=\"last\"") && link.contains("page=2>; rel=\"next\""),
        "{link}"
    );
    // One resource has no pages.
    let one = arm(FaultKind::Links(LinkChange::Dropped));
    probe.get(&probe.path("")).await;
    assert_eq!(one.fired(), 0);
}
