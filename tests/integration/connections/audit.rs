//! Records and metrics with several connections.

use serde_json::Value;

use super::{Files, client, outsider, two};
use crate::support::{Caller, ConnectorProcess, Platform};
use buildkite_connector::sandbox::Sandbox;

/// The lines of an audit file.
fn lines(files: &Files, name: &str) -> Vec<Value> {
    let text = files.read(name);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What each line says in this field.
fn fields(lines: &[Value], field: &str) -> Vec<String> {
    let values = lines.iter().map(|line| line[field].as_str().unwrap_or("-").to_owned());
    values.collect()
}

/// Grants a membership and revokes it again.
async fn change(caller: &Caller, sandbox: &Sandbox) {
    let (team, user) = outsider(sandbox);
    let platform = Platform::new(caller);
    platform.grant(&team, "member", &user).await.unwrap();
    platform.revoke(&team, "member", &user).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn connections_share_the_record_of_the_top_and_state_their_names() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let top = "provisioning = true\naudit_file = \"audit.jsonl\"\n".to_owned();
    let first = top + &files.connection("northwind", &northwind, "");
    files.configure(&first);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    change(&caller, &northwind).await;
    let alone = lines(&files, "audit.jsonl");
    assert_eq!(fields(&alone, "record"), ["intent", "outcome", "intent", "outcome"]);
    assert!(alone.iter().all(|line| line.get("connection").is_none()), "{alone:#?}");

    files.configure(&(first + &files.connection("acme", &acme, "")));
    process.signal("HUP");
    process.event("configuration: the changed files are in use");
    for (name, sandbox) in [("acme", &acme), ("northwind", &northwind)] {
        change(&caller.clone().about(name), sandbox).await;
    }
    // A request that is refused is recorded as well.
    let of_acme = Platform::new(caller.about("acme"));
    of_acme
        .grant(&outsider(&northwind).0, "member", &outsider(&acme).1)
        .await
        .unwrap_err();
    let of_several = lines(&files, "audit.jsonl").split_off(alone.len());
    let named = fields(&of_several, "connection");
    let (changes, refused) = named.split_at(8);
    assert_eq!(changes, [["acme"; 4], ["northwind"; 4]].concat());
    assert!(
        !refused.is_empty() && refused.iter().all(|name| name == "acme"),
        "{named:?}"
    );
    let logged = process.line("\"target\":\"audit\"");
    assert!(logged.contains("\"connection\":\"acme\""), "{logged}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_may_have_a_record_of_its_own() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let tables = [
        "provisioning = true\naudit_file = \"shared.jsonl\"\n".to_owned(),
        files.connection("northwind", &northwind, ""),
        files.connection("acme", &acme, "audit_file = \"own.jsonl\""),
    ];
    files.configure(&tables.concat());
    let process = files.serve(&[]);
    let caller = client(&process).await;
    for (name, sandbox) in [("northwind", &northwind), ("acme", &acme)] {
        change(&caller.clone().about(name), sandbox).await;
    }
    for (file, name) in [("shared.jsonl", "northwind"), ("own.jsonl", "acme")] {
        assert_eq!(fields(&lines(&files, file), "connection"), [name; 4], "{file}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_with_two_spellings_has_one_writer() {
    let ([northwind, acme], files) = (two().await, Files::new());
    std::fs::create_dir(files.path("records")).unwrap();
    let absolute = format!("audit_file = \"{}\"", files.path("audit.jsonl").display());
    let tables = [
        "provisioning = true\n".to_owned(),
        files.connection("northwind", &northwind, &absolute),
        files.connection("acme", &acme, "audit_file = \"records/../audit.jsonl\""),
    ];
    files.configure(&tables.concat());
    let process = files.serve(&[]);
    let caller = client(&process).await;
    for (name, sandbox) in [("northwind", &northwind), ("acme", &acme)] {
        change(&caller.clone().about(name), sandbox).await;
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
    let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    let writers = names.filter(|name| name.starts_with("audit")).count();
    assert_eq!(writers, 1);
    let recorded = fields(&lines(&files, "audit.jsonl"), "connection");
    assert_eq!(recorded, [["northwind"; 4], ["acme"; 4]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_that_cannot_be_written_stops_the_changes_of_its_connection_alone() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let tables = [
        "provisioning = true\n".to_owned(),
        files.connection("northwind", &northwind, "audit_file = \"absent/audit.jsonl\""),
        files.connection("acme", &acme, "audit_file = \"own.jsonl\""),
    ];
    files.configure(&tables.concat());
    let process = files.serve(&[]);
    let caller = client(&process).await;
    let (team, user) = outsider(&northwind);
    let platform = Platform::new(caller.clone().about("northwind"));
    let refused = platform.grant(&team, "member", &user).await.unwrap_err();
    assert_eq!(crate::support::reason(&refused).1, "AUDIT_UNAVAILABLE");
    change(&caller.about("acme"), &acme).await;
}

/// The series of the process after one call, about its connection or about the only one.
async fn series(process: &ConnectorProcess, caller: &Caller) -> Vec<String> {
    Platform::new(caller).resources("user").await.unwrap();
    let scrape = process.scrape().await;
    let names = scrape.values.keys();
    names
        .filter(|series| series.contains("rest_requests_total") || series.contains("ListResources"))
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn metrics_state_the_connection_where_the_file_names_connections() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let monitored = ["--metrics-listen", "127.0.0.1:0"];
    let table = files.connection("northwind", &northwind, "");
    files.configure(&table.lines().skip(1).collect::<Vec<_>>().join("\n"));
    let process = files.serve(&monitored);
    let without = series(&process, &client(&process).await).await;
    assert!(
        !without.is_empty() && without.iter().all(|series| !series.contains("connection=")),
        "{without:#?}"
    );
    drop(process);

    // Also with a single one.
    files.configure(&table);
    let process = files.serve(&monitored);
    let named = series(&process, &client(&process).await).await;
    assert!(
        !named.is_empty() && named.iter().all(|series| series.contains("connection=\"northwind\"")),
        "{named:#?}"
    );
    drop(process);

    files.configure(&(table + &files.connection("acme", &acme, "")));
    let process = files.serve(&monitored);
    let caller = client(&process).await;
    for name in ["northwind", "acme"] {
        let named = series(&process, &caller.clone().about(name)).await;
        let label = format!("connection=\"{name}\"");
        assert!(named.iter().any(|series| series.contains(&label)), "{named:#?}");
    }
}
