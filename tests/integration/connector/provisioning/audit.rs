//! The audit record: on the disk before a change, true after it, and never in the way of a truth.

use std::path::{Path, PathBuf};

use buildkite_connector::governance::AllowedChanges;
use buildkite_connector::proto::c1::connector::v2::{
    GrantManagerServiceGrantRequest, GrantManagerServiceRevokeRequest, RequestId,
};
use buildkite_connector::sandbox::{Edit, Endpoint, Fault, FaultKind};
use prost_types::Any;
use serde_json::{Value, json};
use tonic::{Code, Request};

use super::model::{Answer, Change, Pair, Role};
use super::{World, reason, setup};
use crate::support::{entitlement, resource};

const GRANT: Change = Change::Grant(Role::Member);

async fn recorded(path: &Path) -> World {
    let mut setup = setup();
    setup.access.audit_file = Some(path.to_owned());
    World::with(setup).await
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    (directory, path)
}

#[tokio::test]
async fn a_change_leaves_its_intent_and_its_outcome() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let pair = world.pair();
    world.perform(pair, GRANT).await.unwrap();
    let [intent, outcome] = lines(&path).try_into().unwrap();
    let shared = json!({
        "caller": "anonymous", "operation": "grant", "role": "member", "team_id": pair.team, "user_id": pair.user,
        "before": "none", "after": "member",
    });
    for line in [&intent, &outcome] {
        for (field, value) in shared.as_object().unwrap() {
            assert_eq!(&line[field], value, "{field} of {line}");
        }
        line["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        assert!(line["duration_ms"].is_u64());
    }
    assert_eq!(intent["request_id"], outcome["request_id"]);
    assert_eq!(
        (&intent["record"], &outcome["record"]),
        (&json!("intent"), &json!("outcome"))
    );
    assert_eq!(outcome["outcome"], "granted");
    let calls = json!([{"call": "team member", "status": 404}, {"call": "add team member", "status": 201}]);
    assert_eq!(outcome["calls"], calls);
}

#[tokio::test]
async fn a_change_that_is_not_needed_or_fails_records_only_an_outcome() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let nobody = "nobody@example.com";
    world.perform(world.pair(), Change::Revoke(Role::Member)).await.unwrap();
    super::perform(&world.platform, world.pair(), nobody, GRANT)
        .await
        .unwrap_err();
    let [already, unknown] = lines(&path).try_into().unwrap();
    assert_eq!(already["outcome"], "already_revoked");
    assert_eq!(
        (&unknown["outcome"], &unknown["reason"]),
        (&json!("failed"), &json!("USER_NOT_IN_ORGANIZATION"))
    );
    assert_eq!(unknown["user_email"], nobody);
}

#[tokio::test]
async fn a_request_that_is_not_well_formed_is_on_record_as_far_as_it_could_be_read() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let (team, user) = (world.pair().team.to_string(), world.pair().user.to_string());
    let platform = &world.platform;
    let refused = [
        platform.grant(&team, "owner", &user).await.map(drop),
        platform.grant(&team, "member", "nobody").await.map(drop),
        platform.revoke("no-team", "member", "ada@example.com").await.map(drop),
        world
            .platform
            .grants_client()
            .revoke(GrantManagerServiceRevokeRequest::default())
            .await
            .map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    }
    let lines = lines(&path);
    let read = |line: &Value| {
        let fields = ["operation", "role", "team_id", "user_id", "user_email"];
        fields.map(|field| line[field].as_str().map(str::to_owned))
    };
    let expected = [
        ["grant", "", "", &user, ""],
        ["grant", "member", &team, "", ""],
        ["revoke", "", "", "", "ada@example.com"],
        ["revoke", "", "", "", ""],
    ];
    let expected = expected.map(|line| line.map(|field| (!field.is_empty()).then(|| field.to_owned())));
    assert_eq!(lines.iter().map(read).collect::<Vec<_>>(), expected);
    for line in &lines {
        assert_eq!(
            (&line["record"], &line["outcome"], &line["reason"]),
            (&json!("outcome"), &json!("failed"), &json!("INVALID_REQUEST"))
        );
        assert!(line["message"].is_string() && line["request_id"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_change_that_is_requested_while_changes_are_off_is_on_record() {
    let (_directory, path) = file();
    let mut setup = setup();
    setup.access.audit_file = Some(path.clone());
    setup.access.allowed = AllowedChanges::none();
    let world = World::with(setup).await;
    world.perform(world.pair(), GRANT).await.unwrap_err();
    let [line] = lines(&path).try_into().unwrap();
    assert_eq!(
        (&line["reason"], &line["user_id"]),
        (&json!("PROVISIONING_DISABLED"), &json!(world.pair().user))
    );
}

#[tokio::test]
async fn names_are_recorded_when_lists_contain_them() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    for kind in ["user", "team"] {
        world.platform.resources(kind).await.unwrap();
    }
    world.perform(world.pair(), GRANT).await.unwrap();
    for line in lines(&path) {
        assert_eq!(
            (&line["team_slug"], &line["user_email"]),
            (&json!("team-0"), &json!("person-1@sized.example"))
        );
    }
}

#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let a_directory = directory.path().to_owned();
    let missing = directory.path().join("missing/audit.jsonl");
    let pipe = directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    for path in [
        PathBuf::from("/dev/full"),
        pipe.clone(),
        missing.clone(),
        "/proc/audit.jsonl".into(),
        a_directory,
    ] {
        let world = recorded(&path).await;
        let refused = world.perform(world.pair(), GRANT).await.unwrap_err();
        assert_eq!(
            reason(&refused),
            (Code::FailedPrecondition, "AUDIT_UNAVAILABLE".to_owned())
        );
        assert!(refused.message().contains(&path.display().to_string()), "{refused}");
        let to_the_log = refused.message().contains("the log's target `audit`");
        assert!(to_the_log || path == missing || path.starts_with("/proc"), "{refused}");
        assert_eq!(world.sandbox.request_log().count(Endpoint::AddTeamMember), 0);
        // What needs no change needs no record first.
        let answer = world.perform(world.pair(), Change::Revoke(Role::Member)).await.unwrap();
        assert_eq!(answer, Answer::AlreadyRevoked);
    }
    // Once it can be recorded, it is made.
    let world = recorded(&missing).await;
    std::fs::create_dir(missing.parent().unwrap()).unwrap();
    assert_eq!(world.perform(world.pair(), GRANT).await.unwrap(), Answer::Done);
}

#[tokio::test]
async fn a_file_that_is_rotated_away_is_made_again() {
    let (directory, path) = file();
    let world = recorded(&path).await;
    world.perform(world.pair(), GRANT).await.unwrap();
    let rotated = directory.path().join("audit.jsonl.1");
    std::fs::rename(&path, &rotated).unwrap();
    world
        .perform(
            Pair {
                user: world.people[1],
                ..world.pair()
            },
            GRANT,
        )
        .await
        .unwrap();
    assert_eq!((lines(&rotated).len(), lines(&path).len()), (2, 2));
}

#[tokio::test]
async fn a_request_is_known_by_the_callers_name_for_it_in_every_answer() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let request = |principal: &str, annotations: Vec<Any>| {
        Request::new(GrantManagerServiceGrantRequest {
            entitlement: Some(entitlement(&world.pair().team.to_string(), "member")),
            principal: Some(resource("user", principal)),
            annotations,
        })
    };
    let user = world.pair().user.to_string();
    let mut client = world.platform.grants_client();

    let mut named = request(&user, vec![]);
    named
        .metadata_mut()
        .insert("x-request-id", "from header 1".parse().unwrap());
    let answer = client.grant(named).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "fromheader1");

    let annotation = Any::from_msg(&RequestId {
        request_id: "from-annotation".into(),
    })
    .unwrap();
    let answer = client.grant(request(&user, vec![annotation])).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "from-annotation");

    let refused = client.grant(request("nobody@example.com", vec![])).await.unwrap_err();
    let made = refused
        .metadata()
        .get("x-request-id")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(made.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    let invalid = client.grant(request("nobody", vec![])).await.unwrap_err();
    assert_eq!(invalid.code(), Code::InvalidArgument);
    let called = invalid.metadata().get("x-request-id").unwrap().to_str().unwrap();

    let ids: Vec<Value> = lines(&path)
        .into_iter()
        .map(|line| line["request_id"].clone())
        .collect();
    assert_eq!(
        ids,
        [
            json!("fromheader1"),
            json!("fromheader1"),
            json!("from-annotation"),
            json!(made),
            json!(called)
        ]
    );
}

#[tokio::test]
async fn a_record_that_fails_after_the_change_leaves_the_answer_true() {
    let (_directory, path) = file();
    let world = recorded(&path).await;
    let lost = path.clone();
    let edit = Edit::with(move |_| {
        std::fs::remove_file(&lost).unwrap();
        std::fs::create_dir(&lost).unwrap();
    });
    let fault = Fault::new(Endpoint::AddTeamMember, FaultKind::MoveRows(edit)).once();
    world.sandbox.faults().add(fault);
    assert_eq!(world.perform(world.pair(), GRANT).await.unwrap(), Answer::Done);
    assert_eq!(world.held(world.pair()), Some(Role::Member));
}
