//! Non-fatal recommendations.

use jiff::SignedDuration;

use crate::providers::buildkite::Organization;

/// Clock skew up to this is ignored.
const SAME_TIME: SignedDuration = SignedDuration::from_mins(1);

/// The number of scopes that are named; the rest is counted.
const NAMED: usize = 6;

/// The token has scopes that the connector does not need.
pub(crate) fn least_privilege(not_needed: &[String]) -> Option<String> {
    let named: Vec<String> = not_needed
        .iter()
        .take(NAMED)
        .map(|scope| format!("`{scope}`"))
        .collect();
    let more = match not_needed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "the token may do more than is needed here: leave {}{more} out of the next one",
            named.join(", ")
        )
    })
}

/// The clock of this machine is off.
pub(crate) fn clock(buildkite_ahead: Option<SignedDuration>) -> Option<String> {
    let ahead = buildkite_ahead?;
    if ahead.abs() <= SAME_TIME {
        return None;
    }
    // In a unit that does not change from response to response.
    let minutes = (ahead.abs().as_secs() + 30) / 60;
    let how_much = match minutes {
        0..=1 => "more than a minute".to_owned(),
        2..=119 => format!("about {minutes} minutes"),
        _ => format!("about {} hours", (minutes + 30) / 60),
    };
    let direction = if ahead.is_positive() { "behind" } else { "ahead of" };
    Some(format!(
        "this machine's clock is {how_much} {direction} buildkite's: times in logs and records are off, so set it by NTP"
    ))
}

/// The configured slug leads to an organization that has another one.
pub(crate) fn slug(configured: &str, organization: &Organization) -> Option<String> {
    let slug = &organization.slug;
    (slug != configured).then(|| {
        format!("the organization is called `{slug}`, and `{configured}` still leads to it: set BUILDKITE_ORGANIZATION_SLUG to `{slug}`")
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, None)]
    #[case(60, None)]
    #[case(-60, None)]
    #[case(80, Some("more than a minute behind"))]
    #[case(-300, Some("about 5 minutes ahead of"))]
    #[case(3600 * 5, Some("about 5 hours behind"))]
    fn a_clock_is_off_by_more_than_a_minute(#[case] ahead: i64, #[case] said: Option<&str>) {
        let hint = clock(Some(SignedDuration::from_secs(ahead)));
        assert_eq!(hint.is_some(), said.is_some());
        assert!(hint.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    #[test]
    fn a_clock_that_was_never_compared_is_not_spoken_of() {
        assert_eq!(clock(None), None);
    }

    #[test]
    fn of_many_scopes_the_first_are_named_and_the_rest_counted() {
        let scopes: Vec<String> = (0..9).map(|number| format!("read_{number}")).collect();
        let hint = least_privilege(&scopes).unwrap();
        assert!(
            hint.contains("`read_5`") && !hint.contains("read_6") && hint.contains("and 3 more"),
            "{hint}"
        );
        assert_eq!(least_privilege(&[]), None);
    }
}
