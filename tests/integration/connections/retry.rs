//! A file that was refused is tried again, although it has not changed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buildkite_connector::grpc::server::Reloadable;
use buildkite_connector::proto::connector::health::v1::ScopeState::{Degraded, Healthy};
use tokio::time::sleep;
use tracing::Level;

use super::{Files, assert_reaches, client, configuration, two, users};
use crate::support::log::Log;
use crate::support::until_async;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_secret_may_come_after_the_file_that_names_it() {
    let ([northwind, acme], files) = (two().await, Files::new());
    let first = files.connection("northwind", &northwind, "");
    files.configure(&first);
    let mut process = files.serve(&[]);
    let caller = client(&process).await;
    let second = files.connection("acme", &acme, "");
    std::fs::rename(files.path("acme.token"), files.path("later.token")).unwrap();
    files.configure(&(first + &second));
    process.event("configuration: the changed files cannot be used, and the old ones stay: ");
    let of_northwind = caller.clone().about("northwind");
    assert_eq!(configuration(&of_northwind).await.state(), Degraded);

    // Neither a signal nor another change of the file.
    std::fs::rename(files.path("later.token"), files.path("acme.token")).unwrap();
    let of_acme = caller.about("acme");
    until_async("the new connection", async || users(&of_acme).await.is_ok()).await;
    assert_reaches(&of_acme, &acme).await;
    until_async("a configuration in force", async || {
        configuration(&of_northwind).await.state() == Healthy
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_error_is_logged_again_only_when_its_text_changes() {
    let (log, _guard) = Log::capture(Level::ERROR);
    let files = Files::new();
    files.write("file", "right");
    let (attempts, problem) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new("no secret")));
    let (counted, read, current) = (Arc::clone(&attempts), files.path("file"), Arc::clone(&problem));
    let make = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        match std::fs::read_to_string(&read) {
            Ok(text) if text == "right" => Ok(text),
            _ => Err(*current.lock().unwrap()),
        }
    };
    let _followed = Reloadable::start("text", vec![files.path("file")], make).unwrap();
    // An attempt begins after the result of the one before has been logged.
    let further_attempts = async |number: usize| {
        let end = attempts.load(Ordering::SeqCst) + number;
        while attempts.load(Ordering::SeqCst) < end {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let logged = |problem: &str| log.text().matches(problem).count();
    files.write("file", "wrong");
    further_attempts(4).await;
    assert_eq!((logged("no secret"), logged("no key")), (1, 0), "{}", log.text());
    *problem.lock().unwrap() = "no key";
    further_attempts(4).await;
    assert_eq!((logged("no secret"), logged("no key")), (1, 1), "{}", log.text());
    // A file that has changed is another one, although the error is the same.
    files.write("file", "wrong again");
    further_attempts(4).await;
    assert_eq!((logged("no secret"), logged("no key")), (1, 2), "{}", log.text());
}
