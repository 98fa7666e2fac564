//! Callers that name connections which come, go and get other names: the order in which the two files change does not matter.

use buildkite_connector::proto::connector::health::v1::ScopeState::{Degraded, Healthy};
use buildkite_connector::sandbox::Sandbox;
use rstest::rstest;

use super::{Files, assert_not_allowed, assert_reaches, caller_entry, client, configuration, two, users};
use crate::support::{Caller, ConnectorProcess, until_async};

/// `northwind` and `acme` are served, and both are named by the caller `platform`.
struct World {
    files: Files,
    sandboxes: [Sandbox; 2],
    entry: String,
    process: ConnectorProcess,
    caller: Caller,
}

const BOTH: &str = r#"["northwind", "acme"]"#;
const ONE: &str = r#"["northwind"]"#;

impl World {
    async fn new() -> Self {
        let (sandboxes, files) = (two().await, Files::new());
        files.configure(&files.connections(&sandboxes));
        let (entry, bearer) = caller_entry("platform", BOTH);
        let process = files.serve_callers(&entry);
        let caller = client(&process).await.bearer(&bearer);
        Self {
            files,
            sandboxes,
            entry,
            process,
            caller,
        }
    }

    /// Writes a callers file in which the caller names `northwind` alone.
    fn name_one(&self) {
        self.files.write("callers.toml", &self.entry.replace(BOTH, ONE));
    }

    /// Writes a configuration file with `northwind` alone.
    fn serve_one(&self) {
        let [northwind, _] = &self.sandboxes;
        self.files.configure(&self.files.connection("northwind", northwind, ""));
    }

    /// Writes a configuration file in which `acme` has the name `umbrella`.
    fn rename(&self) {
        let [northwind, acme] = &self.sandboxes;
        let tables = [("northwind", northwind), ("umbrella", acme)];
        let tables = tables.map(|(name, sandbox)| self.files.connection(name, sandbox, ""));
        self.files.configure(&tables.concat());
    }

    /// Writes a callers file in which the caller names `umbrella` in place of `acme`.
    fn name_renamed(&self) {
        self.files
            .write("callers.toml", &self.entry.replace("acme", "umbrella"));
    }

    async fn until_renamed(&self) {
        let renamed = self.caller.clone().about("umbrella");
        until_async("the connection with its new name", async || {
            users(&renamed).await.is_ok()
        })
        .await;
        assert_reaches(&renamed, &self.sandboxes[1]).await;
        assert_not_allowed(&self.caller.clone().about("acme")).await;
        assert_reaches(&self.caller.clone().about("northwind"), &self.sandboxes[0]).await;
    }

    async fn until_gone(&self) {
        let acme = self.caller.clone().about("acme");
        until_async("the end of `acme`", async || users(&acme).await.is_err()).await;
        assert_not_allowed(&acme).await;
        // The only one that is left needs no name.
        assert_reaches(&self.caller, &self.sandboxes[0]).await;
    }

    async fn until_healthy(&self) {
        let caller = self.caller.clone().about("northwind");
        until_async("a configuration in force", async || {
            configuration(&caller).await.state() == Healthy
        })
        .await;
    }
}

#[rstest]
#[case::by_a_signal(true)]
#[case::by_polling(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_file_without_a_named_connection_waits_for_the_callers(#[case] is_signalled: bool) {
    let mut world = World::new().await;
    let signal = |world: &World| {
        if is_signalled {
            world.process.signal("HUP");
        }
    };
    world.serve_one();
    signal(&world);
    let logged = world.process.event("configuration: the changed files cannot be used");
    let path = world.files.path("connector.toml").display().to_string();
    let cause = format!(
        "{path}: the caller `platform` may use the connection `acme`, which is not in the file: keep it, or change the callers file as well"
    );
    assert!(logged["message"].as_str().unwrap().ends_with(&cause), "{logged}");
    for (name, sandbox) in ["northwind", "acme"].iter().zip(&world.sandboxes) {
        let caller = world.caller.clone().about(name);
        assert_reaches(&caller, sandbox).await;
        let check = configuration(&caller).await;
        assert_eq!(check.state(), Degraded);
        // Callers and other connections are not for everybody.
        assert_eq!(check.summary, format!("{path}: cannot be used: see the log"));
    }
    world.name_one();
    signal(&world);
    world.until_gone().await;
    world.until_healthy().await;
}

#[rstest]
#[case::by_a_signal(true)]
#[case::by_polling(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn both_files_may_change_at_once(#[case] is_signalled: bool) {
    let world = World::new().await;
    world.serve_one();
    world.name_one();
    if is_signalled {
        world.process.signal("HUP");
    }
    world.until_gone().await;
    world.until_healthy().await;
}

#[rstest]
#[case::by_a_signal(true)]
#[case::by_polling(false)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_may_be_renamed_in_both_files_at_once(#[case] is_signalled: bool) {
    let world = World::new().await;
    world.rename();
    world.name_renamed();
    if is_signalled {
        world.process.signal("HUP");
    }
    world.until_renamed().await;
    world.until_healthy().await;
}

#[rstest]
#[case::the_callers_second(World::rename, "configuration", World::name_renamed)]
#[case::the_callers_first(World::name_renamed, "callers", World::rename)]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_connection_may_be_renamed_in_one_file_after_the_other(
    #[case] first: fn(&World),
    #[case] refused: &str,
    #[case] second: fn(&World),
) {
    let mut world = World::new().await;
    first(&world);
    world
        .process
        .event(&format!("{refused}: the changed files cannot be used"));
    // The old name is in force until the other file has changed.
    assert_reaches(&world.caller.clone().about("acme"), &world.sandboxes[1]).await;
    second(&world);
    world.until_renamed().await;
    world.until_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn callers_that_cannot_be_used_excuse_no_missing_connection() {
    let mut world = World::new().await;
    world.files.write("callers.toml", "[[caller]]\nname = 1\n");
    world.serve_one();
    world.process.signal("HUP");
    world
        .process
        .event("configuration: the changed files cannot be used, and the old ones stay: ");
    assert_reaches(&world.caller.clone().about("acme"), &world.sandboxes[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn callers_may_change_first() {
    let mut world = World::new().await;
    world.name_one();
    world.process.signal("HUP");
    world.process.event("callers: the changed files are in use");
    assert_not_allowed(&world.caller.clone().about("acme")).await;
    world.serve_one();
    world.process.signal("HUP");
    world.process.event("configuration: the changed files are in use");
    world.until_gone().await;
    world.until_healthy().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn callers_that_name_a_connection_wait_for_it() {
    let (sandboxes, files) = (two().await, Files::new());
    let [northwind, acme] = &sandboxes;
    files.configure(&files.connection("northwind", northwind, ""));
    let (entry, bearer) = caller_entry("platform", ONE);
    let mut process = files.serve_callers(&entry);
    let caller = client(&process).await.bearer(&bearer);
    files.write("callers.toml", &entry.replace(ONE, BOTH));
    process.signal("HUP");
    let refused = process.event("callers: the changed files cannot be used, and the old ones stay: ");
    let refused = refused["message"].as_str().unwrap();
    assert!(
        refused.contains("names the connection `acme`, which does not exist"),
        "{refused}"
    );
    assert_reaches(&caller, northwind).await;

    files.configure(&files.connections(&sandboxes));
    let of_acme = caller.about("acme");
    until_async("the new connection", async || users(&of_acme).await.is_ok()).await;
    assert_reaches(&of_acme, acme).await;
}
