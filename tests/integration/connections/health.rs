//! Health with several connections.

use buildkite_connector::proto::connector::health::v1::WatchScopesRequest;
use buildkite_connector::proto::connector::health::v1::scope_health_service_client::ScopeHealthServiceClient;
use buildkite_connector::sandbox::{Sandbox, TEAM_SCOPES, TokenSpec};
use futures::StreamExt;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, ServiceUnknown, Serving};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::{Files, caller_entry, client, ending, health, two, users};
use crate::support::{Caller, ConnectorProcess, reason, until_async, within};

fn request(name: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: name.to_owned(),
    }
}

/// What `grpc.health.v1` answers about a name.
async fn serving(caller: &Caller, name: &str) -> Result<ServingStatus, Code> {
    let answer = HealthClient::new(caller.clone()).check(request(name)).await;
    answer
        .map(|answer| answer.into_inner().status())
        .map_err(|status| status.code())
}

async fn watch(caller: &Caller, name: &str) -> Result<Streaming<HealthCheckResponse>, Status> {
    let answer = HealthClient::new(caller.clone()).watch(request(name)).await?;
    Ok(answer.into_inner())
}

async fn next(stream: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    let next = within("a status", stream.next()).await;
    next.unwrap().unwrap().status()
}

/// Serves `northwind`, whose token lacks `read_teams`, and `acme`.
async fn one_lacks_a_scope(files: &Files, callers: &str) -> ([Sandbox; 2], ConnectorProcess) {
    let sandboxes = two().await;
    let [northwind, acme] = &sandboxes;
    let scopes: Vec<&str> = TEAM_SCOPES.into_iter().filter(|scope| *scope != "read_teams").collect();
    let token = northwind.mint(TokenSpec::owned_by(northwind.owner()).with_scopes(&scopes));
    let tables = [
        files.connection_with("northwind", northwind, &token, ""),
        files.connection("acme", acme, ""),
    ];
    files.configure(&tables.concat());
    let process = if callers.is_empty() {
        files.serve(&[])
    } else {
        files.serve_callers(callers)
    };
    (sandboxes, process)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_of_connections_stand_beside_those_of_the_process() {
    let files = Files::new();
    let (_sandboxes, process) = one_lacks_a_scope(&files, "").await;
    let caller = client(&process).await;
    for name in ["northwind", "acme"] {
        health(&caller.clone().about(name), true).await;
    }
    for (name, expected) in [
        ("", Serving),
        ("connection/acme", Serving),
        ("connection/acme/scope.read_teams", Serving),
        ("connection/acme/scope.read_user", Serving),
        ("connection/northwind", NotServing),
        ("connection/northwind/scope.read_teams", NotServing),
        ("connection/northwind/scope.read_user", Serving),
        // Those of the process speak of the worst.
        ("scope.read_teams", NotServing),
        ("scope.read_user", Serving),
        ("c1.connector.v2.ResourcesService", NotServing),
    ] {
        assert_eq!(serving(&caller, name).await, Ok(expected), "{name}");
        let mut stream = watch(&caller, name).await.unwrap();
        assert_eq!(next(&mut stream).await, expected, "{name}");
    }
    for name in [
        "connection/",
        "connection/absent",
        "connection/ACME",
        "connection/acme/",
        "connection/acme/read_teams",
        "connection/acme/scope.",
        "connection/acme/scope.absent",
        "connection/acme/scope.read_teams/",
        "connection/absent/scope.read_teams",
    ] {
        assert_eq!(serving(&caller, name).await, Err(Code::NotFound), "{name}");
        assert_eq!(watch(&caller, name).await.unwrap_err().code(), Code::NotFound, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn names_of_connections_exist_for_those_who_may_use_them() {
    let files = Files::new();
    let [(one, bearer_one), (all, bearer_all), (none, bearer_without)] =
        [("one", r#"["acme"]"#), ("all", r#"["*"]"#), ("none", "")]
            .map(|(name, connections)| caller_entry(name, connections));
    let (_sandboxes, process) = one_lacks_a_scope(&files, &(one + &all + &none)).await;
    let anybody = client(&process).await;
    let [one, all, none] = [bearer_one, bearer_all, bearer_without].map(|bearer| anybody.clone().bearer(&bearer));
    for name in ["northwind", "acme"] {
        health(&all.clone().about(name), true).await;
    }
    let stranger = anybody.clone().bearer("bm9ib2R5");
    for (who, caller, sees) in [
        ("one", one, &["acme"][..]),
        ("all", all, &["acme", "northwind"]),
        ("none", none, &[]),
        ("without a credential", anybody, &[]),
        ("with a wrong one", stranger, &[]),
    ] {
        for name in ["acme", "northwind"] {
            let expected = match (sees.contains(&name), name) {
                (false, _) => Err(Code::NotFound),
                (true, "acme") => Ok(Serving),
                (true, _) => Ok(NotServing),
            };
            for service in [
                format!("connection/{name}"),
                format!("connection/{name}/scope.read_teams"),
            ] {
                let received = serving(&caller, &service).await;
                assert_eq!(received, expected, "{who}: {service}");
                let watched = watch(&caller, &service)
                    .await
                    .map(|_| ())
                    .map_err(|status| status.code());
                assert_eq!(watched, expected.map(|_| ()), "{who}: {service}");
            }
        }
        assert_eq!(serving(&caller, "").await, Ok(Serving), "{who}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_watch_of_a_name_follows_the_connection_that_has_it() {
    let (sandboxes, files) = (two().await, Files::new());
    let both = files.connections(&sandboxes);
    files.configure(&both);
    let (entry, bearer) = caller_entry("platform", r#"["*"]"#);
    let mut process = files.serve_callers(&entry);
    let caller = client(&process).await.bearer(&bearer);
    health(&caller.clone().about("acme"), true).await;
    let mut stream = watch(&caller, "connection/acme").await.unwrap();
    assert_eq!(next(&mut stream).await, Serving);

    files.configure(&files.connection("northwind", &sandboxes[0], ""));
    process.signal("HUP");
    assert_eq!(next(&mut stream).await, ServiceUnknown);

    files.configure(&both);
    process.signal("HUP");
    process.event("configuration: the changed files are in use");
    process.event("configuration: the changed files are in use");
    health(&caller.clone().about("acme"), true).await;
    within("a healthy connection", async {
        while next(&mut stream).await != Serving {}
    })
    .await;

    files.write("callers.toml", &entry.replace(r#"["*"]"#, r#"["northwind"]"#));
    process.signal("HUP");
    let ended = within("the end", stream.next()).await.unwrap().unwrap_err();
    assert_eq!(
        reason(&ended),
        (Code::PermissionDenied, "CONNECTION_NOT_ALLOWED".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_watch_of_scopes_ends_with_its_connection() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    let scopes = async |name| {
        let mut client = ScopeHealthServiceClient::new(caller.clone().about(name));
        let mut stream = client.watch_scopes(WatchScopesRequest {}).await.unwrap().into_inner();
        let first = stream.next().await.unwrap().unwrap();
        (first.organization, stream)
    };
    let ((of_northwind, replaced), (of_acme, removed)) = (scopes("northwind").await, scopes("acme").await);
    assert_eq!((&*of_northwind, &*of_acme), ("northwind-rail", "acme-inc"));
    files.configure(&files.connection("northwind", &sandboxes[0], "read_ahead = 1"));
    process.signal("HUP");
    process.event("configuration: the changed files are in use");
    assert_eq!(
        ending(replaced).await,
        (Code::Unavailable, "CONNECTION_REPLACED".to_owned())
    );
    assert_eq!(
        ending(removed).await,
        (Code::PermissionDenied, "CONNECTION_NOT_ALLOWED".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_that_is_not_used_is_probed_when_its_health_is_requested() {
    let (sandboxes, files) = (two().await, Files::new());
    files.configure(&files.connections(&sandboxes));
    let mut process = files.serve(&[]);
    let [northwind, acme] = &sandboxes;
    let caller = client(&process).await;
    // A call begins the periodic checks of its connection.
    users(&caller.clone().about("acme")).await.unwrap();
    let checked = process.event("buildkite: everything that is needed works");
    assert_eq!(checked["organization"], "acme-inc");
    assert_eq!(northwind.request_log().total(), 0);
    // A question about a name is answered from memory, and makes the check due.
    let unknown = serving(&caller, "connection/northwind").await;
    assert!(matches!(unknown, Ok(ServingStatus::Unknown | Serving)), "{unknown:?}");
    let checked = process.event("buildkite: everything that is needed works");
    assert_eq!(checked["organization"], "northwind-rail");
    until_async("the result", async || {
        serving(&caller, "connection/northwind").await == Ok(Serving)
    })
    .await;
    assert!(acme.request_log().total() > 0 && northwind.request_log().total() > 0);
}
