//! The plural of a resource type, for counts, stages and file names.

/// The plural of a resource type's display name in lower case, for instance `test suites` for `Test suite`.
#[must_use]
pub fn plural(display_name: &str) -> String {
    let name = display_name.to_lowercase();
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("User", "users")]
    #[case("Test suite", "test suites")]
    #[case("Registry", "registries")]
    #[case("Key", "keys")]
    fn a_plural_is_lower_case_english(#[case] singular: &str, #[case] expected: &str) {
        assert_eq!(plural(singular), expected);
    }
}
