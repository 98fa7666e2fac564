//! Progress: a bar on a terminal, elsewhere a line in the log every ten seconds.

use std::convert::Infallible;
use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Zoned};
use tokio::time::{Instant, interval, interval_at};

use crate::export::{Progress, Status, plural};
use crate::governance::Governance;

/// Interval at which the bar is drawn.
const FRAME: Duration = Duration::from_millis(200);

/// Interval of lines in the log.
const LINE: Duration = Duration::from_secs(10);

/// Shows the progress of a job until the future is dropped.
pub(super) async fn show(progress: &Progress, governance: &Governance) -> Infallible {
    if io::stderr().is_terminal() {
        draw(progress, governance).await
    } else {
        log(progress, governance).await
    }
}

async fn draw(progress: &Progress, governance: &Governance) -> Infallible {
    let bar = Bar::new();
    let mut frames = interval(FRAME);
    loop {
        frames.tick().await;
        bar.draw(&progress.status(governance));
    }
}

async fn log(progress: &Progress, governance: &Governance) -> Infallible {
    let mut lines = interval_at(Instant::now() + LINE, LINE);
    loop {
        lines.tick().await;
        let status = progress.status(governance);
        let seconds_left = status
            .done_at
            .map(|at| at.saturating_duration_since(Instant::now()).as_secs());
        tracing::info!(
            stage = %status.stage,
            rows = status.rows,
            teams_read = status.resources_read,
            teams = status.resources,
            requests = status.requests,
            seconds_left,
            "{}",
            in_words(&status, Instant::now(), &Zoned::now())
        );
    }
}

/// The bar; it is removed with its job.
struct Bar(ProgressBar);

impl Bar {
    fn new() -> Self {
        Self(ProgressBar::no_length())
    }

    fn draw(&self, status: &Status) {
        let template = match status.resources {
            Some(resources) => {
                self.0.set_length(resources.into());
                self.0.set_position(status.resources_read.into());
                "{spinner} [{bar:24}] {wide_msg}"
            }
            None => "{spinner} {wide_msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style.progress_chars("=> "));
        }
        self.0.set_message(in_words(status, Instant::now(), &Zoned::now()));
        self.0.tick();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A status in words; `now` and `clock` are the same instant.
fn in_words(status: &Status, now: Instant, clock: &Zoned) -> String {
    let time = |at: Instant| {
        let left = SignedDuration::try_from(at.saturating_duration_since(now)).unwrap_or_default();
        clock.saturating_add(left).strftime("%H:%M:%S").to_string()
    };
    let mut words = match status.waiting_until {
        Some(until) => format!("waiting for the rate limit until {}", time(until)),
        None => status.stage.to_string(),
    };
    // Writing to a string does not fail.
    let _ = match (status.resources, status.rows) {
        (Some(resources), _) => {
            let of = status
                .granting_type
                .map_or_else(|| "resources".to_owned(), |of| plural(of.display_name));
            write!(words, ", {} of {resources} {of}", status.resources_read)
        }
        (None, 0) => Ok(()),
        (None, rows) => write!(words, ", {rows} so far"),
    };
    let _ = write!(words, ", {} requests", status.requests);
    if let Some(at) = status.done_at {
        let left = at.saturating_duration_since(now).as_secs();
        let left = humantime::format_duration(Duration::from_secs(left));
        let _ = write!(words, ", about {left} left, done at {}", time(at));
    }
    words
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::export::Stage;
    use crate::providers::buildkite::resources::{TEAM, USER};

    const USERS: Status = Status {
        stage: Stage::Resources(&USER),
        rows: 300,
        granting_type: None,
        resources_read: 0,
        resources: None,
        requests: 7,
        done_at: None,
        waiting_until: None,
    };

    const MEMBERS: Status = Status {
        stage: Stage::Grants(Some(&TEAM)),
        rows: 40,
        granting_type: Some(&TEAM),
        resources_read: 2,
        resources: Some(250),
        ..USERS
    };

    #[rstest]
    #[case(USERS, None, None, "reading users, 300 so far, 7 requests")]
    #[case(MEMBERS, None, None, "reading the members of teams, 2 of 250 teams, 7 requests")]
    #[case(
        MEMBERS,
        Some(250),
        None,
        "reading the members of teams, 2 of 250 teams, 7 requests, about 4m 10s left, done at 12:06:30"
    )]
    #[case(
        MEMBERS,
        Some(250),
        Some(50),
        "waiting for the rate limit until 12:03:10, 2 of 250 teams, 7 requests, about 4m 10s left, done at 12:06:30"
    )]
    fn a_status_says_what_is_done_how_far_it_is_and_when_it_will_end(
        #[case] status: Status,
        #[case] done_in: Option<u64>,
        #[case] waiting_for: Option<u64>,
        #[case] words: &str,
    ) {
        let (now, clock) = (Instant::now(), "2026-11-24T12:02:20[UTC]".parse().unwrap());
        let at = |seconds| now + Duration::from_secs(seconds);
        let status = Status {
            done_at: done_in.map(at),
            waiting_until: waiting_for.map(at),
            ..status
        };
        assert_eq!(in_words(&status, now, &clock), words);
    }
}
