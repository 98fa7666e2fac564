//! The matrix: each listing, under each kind of trouble, in its first, a middle and its last window, once and for ever.
//! Of any listing either every row is returned or the call fails, with the code and the details that the design names.

mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use buildkite_connector::providers::buildkite::ClientOptions;
use buildkite_connector::providers::buildkite::budget::BudgetOptions;
use buildkite_connector::sandbox::{Endpoint, Fault, FaultKind, LimitOptions, Options, Sandbox, Seed};
use futures::{StreamExt, stream};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::{
    Listing, ObjectList, Platform, ROWS, Setup, TestServer, all_scopes, details, first_team, including_all, recorder,
    sized,
};
use table::{End, SOON, Trouble, is_the_truth, troubles};

/// Combinations that run at once.
const AT_ONCE: usize = 32;

/// Keeps a combination that never ends from hanging the test. It is not a time budget.
const LONGEST: Duration = Duration::from_secs(600);

const WINDOWS: [(&str, usize); 3] = [("first", 1), ("middle", 2), ("last", 4)];

/// Timeouts that a busy machine does not exceed. The ones that a cell waits out completely are short: the retries of a lasting
/// fault, and the wait for a response that never comes. Such a cell ends with the same error however short they are.
fn timeouts(trouble: &Trouble, forever: bool) -> Setup {
    let silent = matches!(trouble.kind, FaultKind::Hang);
    let retry_for = if forever { 3 } else { 300 };
    // A window that is long is not waited for at all, so that its end changes nothing.
    let max_wait = if forever || trouble.window > SOON { 4 } else { 300 };
    let client = ClientOptions {
        attempt_timeout: Duration::from_secs(if silent { 10 } else { 300 }),
        retry_for: Duration::from_secs(retry_for),
        budget: BudgetOptions {
            max_wait: Duration::from_secs(max_wait),
            ..BudgetOptions::default()
        },
        ..ClientOptions::default()
    };
    Setup {
        client,
        ..including_all()
    }
}

/// A list of the matrix.
#[derive(Debug, Clone, Copy)]
enum List {
    Of(Listing),
    OfObjects(ObjectList),
}

impl List {
    fn endpoint(self) -> Endpoint {
        match self {
            Self::Of(listing) => listing.endpoint(),
            Self::OfObjects(objects) => objects.endpoint(),
        }
    }

    fn seed(self) -> Seed {
        match self {
            Self::Of(listing) => listing.seed(ROWS),
            Self::OfObjects(_) => sized(1, 1, 2),
        }
    }

    fn truth(self, sandbox: &Sandbox) -> BTreeSet<Uuid> {
        match self {
            Self::Of(listing) => listing.truth(sandbox),
            Self::OfObjects(objects) => objects.truth(sandbox),
        }
    }

    async fn read(self, platform: &Platform, sandbox: &Sandbox) -> Result<BTreeSet<Uuid>, Status> {
        match self {
            Self::Of(listing) => listing.read(platform, first_team(sandbox)).await,
            Self::OfObjects(objects) => objects.read(platform, sandbox).await,
        }
    }
}

/// One cell: what was seen, and how often the fault fired.
async fn cell(listing: List, trouble: &Trouble, page: usize, forever: bool) -> Result<(), String> {
    let sandbox = Sandbox::start(Options {
        seed: listing.seed(),
        limits: LimitOptions {
            organization: Some(1_000_000),
            user: Some(1_000_000),
            window: trouble.window,
            // The windows begin with the sandbox, so that none of them is about to end.
            organization_offset: Some(Duration::ZERO),
            user_offset: Some(Duration::ZERO),
        },
        ..Options::default()
    })
    .await
    .unwrap();
    if let List::OfObjects(objects) = listing {
        objects.fill(&sandbox, ROWS);
    }
    let fault = Fault::new(listing.endpoint(), trouble.kind.clone()).on_page(page);
    let fault = sandbox.faults().add(if forever { fault } else { fault.once() });
    let setup = timeouts(trouble, forever);
    let connector = TestServer::with(&sandbox, &all_scopes(&sandbox), setup).await;
    let read = listing.read(&connector.platform().await, &sandbox).await;

    let expected = if forever { trouble.forever } else { trouble.once };
    // Page 1 in place of page 1 is the truth.
    let truthful = page == 1 && trouble.name == "repeated page";
    match (&read, expected) {
        (Ok(rows), End::Healed | End::Contradicts) if expected == End::Healed || truthful => {
            if *rows != listing.truth(&sandbox) {
                return Err(format!("OK with {} rows of {ROWS}", rows.len()));
            }
        }
        (Ok(rows), _) => return Err(format!("OK with {} rows in place of an error", rows.len())),
        (Err(status), End::Healed) => return Err(format!("not healed: {status:?}")),
        (Err(status), End::Fails(code, reason)) => as_told(status, &[(code, reason)])?,
        (Err(status), End::Contradicts) => as_told(
            status,
            &[
                (Code::Unavailable, "BUILDKITE_UNAVAILABLE"),
                (Code::FailedPrecondition, "UNEXPECTED_RESPONSE"),
            ],
        )?,
    }
    match (fault.fired(), forever) {
        (0, _) => Err("the fault never fired".to_owned()),
        // Retries of a transient fault are what recovers the cells in which it happens once.
        (fired, true) if trouble.asked_once && fired != 1 => Err(format!("asked {fired} times")),
        _ => Ok(()),
    }
}

/// The status says one of these, and carries the details that belong to it.
fn as_told(status: &Status, expected: &[(Code, &str)]) -> Result<(), String> {
    let details = details(status);
    let is = expected
        .iter()
        .any(|(code, reason)| details.code == *code && details.reason == *reason);
    let waits = details.code == Code::Unavailable;
    let limited = details.reason == "RATE_LIMITED";
    let described = details.rate_limit.as_ref();
    let complaint = [
        (!is, "another code or reason"),
        (details.domain != "buildkite-connector", "another domain"),
        (details.code == Code::NotFound, "NOT_FOUND"),
        (details.retry.is_some() != waits, "RetryInfo just where waiting helps"),
        (
            described.is_some() != limited,
            "a RateLimitDescription just where a limit is the reason",
        ),
        (
            described.is_some_and(|described| described.remaining != 0 || described.reset_at.is_none()),
            "nothing remains until the reset",
        ),
        (
            details.message.is_empty() || details.message.contains("http://127"),
            "a sentence without addresses",
        ),
    ]
    .into_iter()
    .find_map(|(wrong, what)| wrong.then_some(what));
    match complaint {
        None => Ok(()),
        Some(complaint) => Err(format!("{complaint}: {details:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listing_is_complete_or_an_error_under_any_fault_in_any_window() {
    let elsewhere = recorder::Recorder::start().await;
    let mut cells = Vec::new();
    let lists = Listing::ALL.into_iter().map(List::Of);
    for listing in lists.chain(ObjectList::IN_WINDOWS.map(List::OfObjects)) {
        for trouble in troubles(listing, &elsewhere.url("/v2/teams")) {
            let trouble = std::sync::Arc::new(trouble);
            for (window, page) in WINDOWS {
                if is_the_truth(&trouble, window) {
                    continue;
                }
                for forever in [false, true] {
                    cells.push((listing, std::sync::Arc::clone(&trouble), window, page, forever));
                }
            }
        }
    }
    let asserted = cells.len();
    // Those that wait for what never comes begin first, beside all others.
    cells.sort_by_key(|(_, trouble, ..)| !matches!(trouble.kind, FaultKind::Hang));
    let complaints: BTreeMap<String, String> = stream::iter(cells)
        .map(|(listing, trouble, window, page, forever)| async move {
            let times = if forever { "for ever" } else { "once" };
            let name = format!("{listing:?} × {} × {window} window × {times}", trouble.name);
            let asserted =
                tokio::spawn(
                    async move { tokio::time::timeout(LONGEST, cell(listing, &trouble, page, forever)).await },
                );
            let ended = asserted
                .await
                .map(|ended| ended.unwrap_or_else(|_| Err("it does not end".to_owned())));
            ended
                .unwrap_or_else(|panic| Err(panic.to_string()))
                .err()
                .map(|complaint| (name, complaint))
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    assert!(
        complaints.is_empty(),
        "{} of {asserted} combinations: {complaints:#?}",
        complaints.len()
    );
    assert_eq!(asserted, 9 * (24 * 3 + 2) * 2);
    assert_eq!(elsewhere.requests(), Vec::<String>::new(), "a redirect was followed");
}
