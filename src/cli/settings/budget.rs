//! How the request budget is spent.

use std::num::NonZeroU32;

use super::{SettingError, duration};
use crate::providers::buildkite::budget::BudgetOptions;

/// The flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct BudgetArgs {
    /// Longest wait for a rate limit. A server waits 45s where this is not given (a grant or revoke up to a whole window and a
    /// margin), a job that ends for as long as it takes
    #[arg(long, env = "BUILDKITE_CONNECTOR_MAX_WAIT", value_name = "TIME")]
    max_wait: Option<String>,
    /// Percent of each window that syncs leave to grants and revokes [default: 10 and at least 15 requests, but no more
    /// than 30 percent]
    #[arg(long, env = "BUILDKITE_CONNECTOR_WRITE_RESERVE", value_name = "PERCENT")]
    write_reserve: Option<String>,
    /// Spend no more than this, whatever Buildkite would allow
    #[arg(long, env = "BUILDKITE_CONNECTOR_MAX_REQUESTS_PER_MINUTE", value_name = "N")]
    max_requests_per_minute: Option<String>,
}

impl BudgetArgs {
    pub(super) fn read(&self) -> Result<BudgetOptions, SettingError> {
        let percent = |text: &str| text.trim_end_matches('%').parse().ok().filter(|percent| *percent < 100);
        let given = self.write_reserve.as_deref().filter(|text| !text.is_empty());
        let reserve = given
            .map(|text| {
                percent(text).ok_or_else(|| {
                    let variable = "BUILDKITE_CONNECTOR_WRITE_RESERVE";
                    SettingError::new(
                        "--write-reserve",
                        variable,
                        "give a percentage from 0 to 99, such as `10`, or leave it out",
                    )
                })
            })
            .transpose()?;
        let given = self.max_requests_per_minute.as_deref().filter(|text| !text.is_empty());
        let limit = given.map(str::parse::<NonZeroU32>).transpose().map_err(|_| {
            let variable = "BUILDKITE_CONNECTOR_MAX_REQUESTS_PER_MINUTE";
            SettingError::new(
                "--max-requests-per-minute",
                variable,
                "give a whole number of at least 1, or leave it out",
            )
        })?;
        let unless_given = BudgetOptions::default();
        let max_wait = match self.max_wait() {
            Some(given) => duration("--max-wait", "BUILDKITE_CONNECTOR_MAX_WAIT", given)?,
            None => unless_given.max_wait,
        };
        Ok(BudgetOptions {
            max_wait,
            reserve,
            max_requests_per_minute: limit,
            ..unless_given
        })
    }

    /// The longest wait, where one was given.
    pub(super) fn max_wait(&self) -> Option<&str> {
        self.max_wait.as_deref().filter(|given| !given.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn defaults_are_the_designs() {
        assert_eq!(BudgetArgs::default().read(), Ok(BudgetOptions::default()));
    }

    #[rstest]
    #[case("20", Some(20))]
    #[case("20%", Some(20))]
    #[case("0", Some(0))]
    #[case("", None)]
    fn a_share_that_is_given_is_taken_as_given(#[case] given: &str, #[case] reserve: Option<u8>) {
        let args = BudgetArgs {
            write_reserve: Some(given.to_owned()),
            ..BudgetArgs::default()
        };
        assert_eq!(args.read().unwrap().reserve, reserve);
    }

    #[rstest]
    #[case(BudgetArgs { max_wait: Some("soon".into()), ..BudgetArgs::default() }, "--max-wait")]
    #[case(BudgetArgs { write_reserve: Some("100".into()), ..BudgetArgs::default() }, "--write-reserve")]
    #[case(BudgetArgs { write_reserve: Some("-1".into()), ..BudgetArgs::default() }, "--write-reserve")]
    #[case(BudgetArgs { max_requests_per_minute: Some("0".into()), ..BudgetArgs::default() }, "--max-requests-per-minute")]
    fn each_refusal_names_its_flag(#[case] args: BudgetArgs, #[case] flag: &str) {
        assert!(args.read().unwrap_err().to_string().starts_with(flag));
    }
}
