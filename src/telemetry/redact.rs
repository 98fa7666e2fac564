//! Removes secrets from external text.
//!
//! A response of Buildkite or of a proxy may quote the request. Before such text reaches a log or a caller, every token
//! of a known form is replaced (reference, section 5.6), control characters are removed, and the length is limited.

/// Maximum length of the result, in characters.
const MAX_LENGTH: usize = 300;

/// Minimum length of a secret after its prefix; shorter text is an ordinary word.
const MIN_SECRET_LENGTH: usize = 16;

/// What stands in place of a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Replaces secrets, removes control characters and limits the length to a sentence or two.
#[must_use]
pub fn redact(text: &str) -> String {
    let words = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty());
    let redacted = mask(&words.collect::<Vec<_>>().join(" "));
    match redacted.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", redacted.get(..end).unwrap_or_default()),
        None => redacted,
    }
}

/// Replaces secrets and leaves the rest of the text unchanged.
#[must_use]
pub fn mask(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest.find(|c| !is_token_character(c)).unwrap_or(rest.len());
        let (candidate, after) = rest.split_at(run);
        out.push_str(if is_secret(candidate) { REDACTED } else { candidate });
        let separator_length = after.chars().next().map_or(0, char::len_utf8);
        let (separator, tail) = after.split_at(separator_length);
        out.push_str(separator);
        rest = tail;
    }
    out
}

/// The alphabet of tokens: base64url, and the dots of a JWT.
fn is_token_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

fn is_secret(candidate: &str) -> bool {
    // Both of Buildkite's prefixed families, JWTs, and the bare 40-character tokens from before 2023.
    let prefixed = candidate
        .find("bk")
        .and_then(|start| candidate.get(start..))
        .is_some_and(|found| {
            found.split_once('_').is_some_and(|(prefix, body)| {
                (4..=5).contains(&prefix.len())
                    && prefix.chars().all(|c| c.is_ascii_lowercase())
                    && body.len() >= MIN_SECRET_LENGTH
            })
        });
    let jwt = candidate.starts_with("eyJ") && candidate.len() >= MIN_SECRET_LENGTH;
    let bare = candidate.len() >= 40
        && !candidate.contains(['-', '.', '_'])
        && candidate.contains(|c: char| c.is_ascii_digit());
    prefixed || jwt || bare
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bkua_0123456789abcdef0123456789abcdef01234567")]
    #[case("bktx_0123456789abcdef")]
    #[case("bkcqt_0123456789-abc_def")]
    #[case("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln")]
    #[case("0123456789abcdef0123456789abcdef01234567")]
    fn every_known_form_is_redacted_wherever_it_stands(#[case] secret: &str) {
        for text in [
            secret.to_owned(),
            format!("?api_key={secret}&a=b"),
            format!("(\"{secret}\")"),
            format!("a {secret}, b"),
        ] {
            let clean = redact(&text);
            assert!(!clean.contains(secret) && clean.contains(REDACTED), "{clean}");
        }
    }

    #[rstest]
    #[case("No organization found")]
    #[case("team 0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d is gone")]
    #[case("Validation failed: User has already been added")]
    fn ordinary_words_stay(#[case] text: &str) {
        assert_eq!(redact(text), text);
    }

    #[test]
    fn control_characters_are_dropped_and_length_is_bounded() {
        assert_eq!(redact("a\u{1b}[31m\nb\0c"), "a [31m b c");
        assert_eq!(redact(&"x".repeat(1000)).chars().count(), MAX_LENGTH + 1);
    }

    proptest! {
        #[test]
        fn a_planted_token_never_comes_through(before in "\\PC{0,40}", after in "[^a-zA-Z0-9_.-]{0,40}") {
            let secret = "bkua_0123456789abcdef0123456789abcdef01234567";
            let clean = redact(&format!("{before}{secret}{after}"));
            prop_assert!(!clean.contains(secret), "{}", clean);
        }
    }
}
