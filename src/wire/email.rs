//! The protocol's rule for e-mail addresses. A client that validates its rows rejects a user whose address violates it.
//!
//! The rule is that of `protoc-gen-validate`: an address of RFC 5322 without a display name, of at most 254 bytes, whose local
//! part has at most 64 and whose host is a hostname: labels of ASCII letters, digits and hyphens, so neither an
//! internationalized name nor an underscore.

use email_address::{EmailAddress, Options};

/// The maximum bytes of an address, of its local part, of its host, and of one label of the host.
const MAX_ADDRESS: usize = 254;
const MAX_LOCAL_PART: usize = 64;
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Whether the protocol accepts `text` as the address of a user.
pub(crate) fn is_accepted(text: &str) -> bool {
    let options = Options::default().without_display_text().without_domain_literal();
    let Ok(address) = EmailAddress::parse_with_options(text, options) else {
        return false;
    };
    // The rule splits at the first `@`, which a quoted local part may contain.
    text.len() <= MAX_ADDRESS
        && address.local_part().len() <= MAX_LOCAL_PART
        && !address.local_part().contains('@')
        && is_hostname(address.domain())
}

fn is_hostname(host: &str) -> bool {
    host.len() <= MAX_HOST && host.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("ada@example.com", true)]
    #[case::tag_and_case("Ada.Lovelace+ci@Example.com", true)]
    #[case::one_label("ada@localhost", true)]
    #[case::digits("1@3com.example", true)]
    #[case::inner_hyphens("ada@xn--exmple-cua.com", true)]
    #[case::accent_before_the_at("zoë@example.com", true)]
    #[case::punctuation("o'brien_!#$%&*/=?^`{|}~@example.com", true)]
    #[case::empty("", false)]
    #[case::no_at("ada", false)]
    #[case::no_host("ada@", false)]
    #[case::no_local_part("@example.com", false)]
    #[case::two_ats("ada@b@example.com", false)]
    #[case::quoted_at("\"ada@b\"@example.com", false)]
    #[case::display_name("Ada <ada@example.com>", false)]
    #[case::brackets("<ada@example.com>", false)]
    #[case::address_literal("ada@[127.0.0.1]", false)]
    #[case::space("ada @example.com", false)]
    #[case::dots(".ada@example.com", false)]
    #[case::two_dots("a..da@example.com", false)]
    #[case::accent_in_the_host("user@exämple.com", false)]
    #[case::underscore_in_the_host("a@exam_ple.com", false)]
    #[case::leading_hyphen("a@-example.com", false)]
    #[case::trailing_hyphen("a@example-.com", false)]
    #[case::hyphen_of_an_inner_label("a@mail.-example.com", false)]
    #[case::empty_label("a@example..com", false)]
    #[case::trailing_dot("a@example.com.", false)]
    fn an_address_is_accepted_as_the_protocol_does(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(is_accepted(text), accepted, "{text}");
    }

    #[rstest]
    #[case::local_part(64, 10, true)]
    #[case::longer_local_part(65, 10, false)]
    #[case::label(1, 63, true)]
    #[case::longer_label(1, 64, false)]
    fn lengths_are_counted_in_bytes(#[case] local_part: usize, #[case] label: usize, #[case] accepted: bool) {
        let text = format!("{}@{}.com", "l".repeat(local_part), "h".repeat(label));
        assert_eq!(is_accepted(&text), accepted, "{text}");
    }

    #[rstest]
    #[case(254, true)]
    #[case(255, false)]
    fn a_whole_address_has_at_most_254_bytes(#[case] length: usize, #[case] accepted: bool) {
        let begin = format!("{}@{}", "l".repeat(60), format!("{}.", "h".repeat(45)).repeat(3));
        let rest = length - begin.len();
        let text = begin + &"h".repeat(rest);
        assert_eq!((text.len(), rest <= MAX_LABEL), (length, true));
        assert_eq!(is_accepted(&text), accepted, "{text}");
    }
}
