//! How the request budget is spent.

use std::num::NonZeroU32;
use std::str::FromStr;

use super::value::{PositiveDuration, parsed_by};
use crate::providers::buildkite::budget::{BudgetOptions, DEFAULT_RESERVE, MAX_DEFAULT_RESERVE, MIN_DEFAULT_RESERVE};

/// The flags.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct BudgetArgs {
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_MAX_WAIT",
        value_name = "TIME",
        help = max_wait_help(),
        value_parser = parsed_by(PositiveDuration::from_str)
    )]
    max_wait: Option<PositiveDuration>,
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_WRITE_RESERVE",
        value_name = "PERCENT",
        help = write_reserve_help(),
        value_parser = parsed_by(percent)
    )]
    write_reserve: Option<u8>,
    /// Requests per minute that are never exceeded, even if Buildkite allows more
    #[arg(
        long,
        env = "BUILDKITE_CONNECTOR_MAX_REQUESTS_PER_MINUTE",
        value_name = "N",
        value_parser = parsed_by(positive)
    )]
    max_requests_per_minute: Option<NonZeroU32>,
}

fn max_wait_help() -> String {
    let max_wait = PositiveDuration(BudgetOptions::default().max_wait);
    format!(
        "Longest wait for a rate limit; a grant or revoke that a platform sends to `serve` or `plugin` may always wait for \
         a whole window and a margin [default: {max_wait}; none for jobs and `service`]"
    )
}

fn write_reserve_help() -> String {
    format!(
        "Share of each window, in percent, that syncs leave to grants and revokes [default: {DEFAULT_RESERVE} % and at \
         least {MIN_DEFAULT_RESERVE} requests, but no more than {MAX_DEFAULT_RESERVE} %]"
    )
}

fn percent(text: &str) -> Result<u8, &'static str> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number
        .filter(|percent| *percent < 100)
        .ok_or("give a percentage from 0 to 99, such as `10`, or leave it out")
}

fn positive(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse()
        .map_err(|_| "give a whole number of at least 1, or leave it out")
}

impl BudgetArgs {
    pub(super) fn options(&self) -> BudgetOptions {
        let defaults = BudgetOptions::default();
        BudgetOptions {
            max_wait: self.max_wait.map_or(defaults.max_wait, |max_wait| max_wait.0),
            reserve: self.write_reserve,
            max_requests_per_minute: self.max_requests_per_minute,
            ..defaults
        }
    }

    /// Whether `--max-wait` is set.
    pub(super) fn has_max_wait(&self) -> bool {
        self.max_wait.is_some()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::cli::settings::value::parse;

    #[test]
    fn without_flags_the_options_are_the_defaults() {
        assert_eq!(parse::<BudgetArgs>(&[]).unwrap().options(), BudgetOptions::default());
    }

    #[rstest]
    #[case("20", 20)]
    #[case("20%", 20)]
    #[case("0", 0)]
    fn a_reserve_that_is_set_is_used_as_given(#[case] text: &str, #[case] reserve: u8) {
        let args: BudgetArgs = parse(&["--write-reserve", text]).unwrap();
        assert_eq!(args.options().reserve, Some(reserve));
    }

    #[rstest]
    #[case("--max-wait=soon")]
    #[case("--max-wait=0s")]
    #[case("--write-reserve=100")]
    #[case("--write-reserve=-1")]
    #[case("--write-reserve=")]
    #[case("--max-requests-per-minute=0")]
    fn each_rejection_names_its_flag(#[case] argument: &str) {
        let error = parse::<BudgetArgs>(&[argument]).unwrap_err().to_string();
        let flag = argument.split('=').next().unwrap();
        assert!(error.starts_with(&format!("error: {flag}: give")), "{error}");
    }
}
