//! What belongs to one connection is refused in another.

use buildkite_connector::proto::c1::connector::v2::BatonActionStatus;
use buildkite_connector::sandbox::{Endpoint, TokenSpec};
use serde_json::json;
use tonic::{Code, Status};

use super::{Files, client, outsider, people, teams, two};
use crate::actions::{invoke, status};
use crate::support::platform::SYNC;
use crate::support::{Platform, details, reason, resource};

/// The lists that have pages.
#[derive(Debug, Clone, Copy)]
enum List {
    Users,
    Teams,
    Grants,
    Entitlements,
}

const LISTS: [List; 4] = [List::Users, List::Teams, List::Grants, List::Entitlements];

/// A page of one row from this token on; returns the next token.
async fn page(platform: &Platform, list: List, team: &str, token: &str) -> Result<String, Status> {
    let team = resource("team", team);
    Ok(match list {
        List::Users => platform.resources_sized("user", token, SYNC, 1).await?.next_page_token,
        List::Teams => platform.resources_sized("team", token, SYNC, 1).await?.next_page_token,
        List::Grants => platform.grants_sized(&team, token, SYNC, 1).await?.next_page_token,
        List::Entitlements => platform.entitlements_sized(&team, token, 1).await?.next_page_token,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_page_token_is_refused_in_another_connection_also_to_the_same_organization() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    files.configure(&(files.connections(&sandboxes) + &files.connection("twin", northwind, "")));
    let process = files.serve(&[]);
    let caller = client(&process).await;
    let about = |name| Platform::new(caller.clone().about(name));
    let (of_northwind, of_acme, of_twin) = (about("northwind"), about("acme"), about("twin"));
    let (team, other_team) = (&teams(northwind)[0], &teams(acme)[0]);
    for list in LISTS {
        let token = page(&of_northwind, list, team, "").await.unwrap();
        assert_ne!(token, "", "{list:?}");
        for (other, team) in [(&of_acme, other_team), (&of_acme, team), (&of_twin, team)] {
            let refused = details(&page(other, list, team, &token).await.unwrap_err());
            assert_eq!(
                (refused.code, &*refused.reason, &refused.fields[..]),
                (Code::InvalidArgument, "INVALID_REQUEST", &["page_token".to_owned()][..]),
                "{list:?}"
            );
        }
        page(&of_northwind, list, team, &token).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_action_is_known_in_its_connection_alone() {
    let ([northwind, _], files) = (two().await, Files::new());
    let token = northwind.mint(TokenSpec::owned_by(northwind.owner()).with_all_scopes());
    let names = ["northwind", "twin"];
    let tables = names.map(|name| files.connection_with(name, &northwind, &token, "allow = \"teams\""));
    files.configure(&tables.concat());
    let process = files.serve(&[]);
    let caller = client(&process).await;
    let [own, twin] = names.map(|name| caller.clone().about(name));
    let team = json!({ "resource_type_id": "team", "resource_id": teams(&northwind)[0] });
    let ended = invoke(&own, "update_team", json!({"team": team, "description": "Here"}), 60);
    let ended = ended.await.unwrap();
    assert_eq!(ended.status, BatonActionStatus::Complete);
    assert_eq!(
        status(&own, &ended.id).await.unwrap().status,
        BatonActionStatus::Complete
    );
    let unknown = status(&twin, &ended.id).await.unwrap_err();
    assert_eq!(reason(&unknown), (Code::NotFound, "ACTION_NOT_FOUND".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn resources_of_another_organization_are_not_found_and_nothing_is_written() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    files.configure(&("provisioning = true\n".to_owned() + &files.connections(&sandboxes)));
    let process = files.serve(&[]);
    let of_acme = Platform::new(client(&process).await.about("acme"));
    let ((team, user), (own_team, own_user)) = (outsider(northwind), outsider(acme));
    let stranger = people(northwind).into_iter().next().unwrap();

    for (kind, id) in [("team", &team), ("user", &stranger)] {
        let unknown = of_acme.resource(kind, id).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound, "{unknown:?}");
    }
    let foreign = of_acme.grants(&resource("team", &team)).await.unwrap_err();
    assert_eq!(foreign.code(), Code::NotFound, "{foreign:?}");
    for (team, user, expected) in [
        (&team, &user, "USER_NOT_IN_ORGANIZATION"),
        (&team, &own_user, "TEAM_NOT_FOUND"),
        (&own_team, &user, "USER_NOT_IN_ORGANIZATION"),
    ] {
        let refused = of_acme.grant(team, "member", user).await.unwrap_err();
        assert_eq!(reason(&refused).1, expected, "{refused:?}");
    }
    let mut requests = acme.requests().into_iter();
    assert!(!requests.any(|request| request.endpoint == Endpoint::AddTeamMember && request.applied));
    assert_eq!(
        northwind.request_log().total(),
        0,
        "nothing concerned this organization"
    );
    of_acme.grant(&own_team, "member", &own_user).await.unwrap();
}
