//! Page tokens: self-contained, versioned and checked.
//!
//! A token says which list it belongs to and where to go on, so that a server that was restarted, or another one, answers
//! it. It carries a digest of itself: one that was made up or cut short is refused before any request leaves. The digest
//! guards against mistakes, not against forgers; a forged position can do no more than read a list from elsewhere.

use std::num::NonZeroUsize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::providers::buildkite::TeamId;
use crate::providers::buildkite::pagination::Cursor;

/// The form of the tokens that are made; older forms are refused, and the client starts that list again.
const VERSION: &str = "1";

/// The rows of two windows are below this, and those of ten that a list moved between; what is longer was not made here.
const LONGEST: usize = 64 * 1024;

/// A token that was not made here, or for another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page token was not made by this connector for this list: start the list again without one")]
pub struct PageTokenError;

/// The list that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    People,
    Teams,
    Members(TeamId),
    /// The people whom only member rows name, behind the organization's own list of people.
    Unlisted,
    ResourceTypes,
    Entitlements(TeamId),
}

impl List {
    fn name(self, organization: &str) -> String {
        match self {
            Self::People => format!("{organization}/people"),
            Self::Teams => format!("{organization}/teams"),
            Self::Members(team) => format!("{organization}/teams/{team}"),
            Self::Unlisted => format!("{organization}/people/unlisted"),
            Self::ResourceTypes => "resource-types".to_owned(),
            Self::Entitlements(team) => format!("{organization}/teams/{team}/entitlements"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    list: String,
    position: Cursor,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unknown_roles: bool,
}

/// Where the token says to go on; the beginning for the empty one.
pub(crate) fn read(token: &str, list: List, organization: &str) -> Result<Cursor, PageTokenError> {
    read_noting_roles(token, list, organization).map(|(position, _)| position)
}

/// The same, and whether there were rows before that position of which none has a role that is known.
pub(crate) fn read_noting_roles(token: &str, list: List, organization: &str) -> Result<(Cursor, bool), PageTokenError> {
    if token.is_empty() {
        return Ok((Cursor::Start, false));
    }
    if token.len() > LONGEST {
        return Err(PageTokenError);
    }
    let (body, digest) = token.rsplit_once('.').ok_or(PageTokenError)?;
    if digest != digest_of(body) {
        return Err(PageTokenError);
    }
    let encoded = body
        .strip_prefix(VERSION)
        .and_then(|rest| rest.strip_prefix('.'))
        .ok_or(PageTokenError)?;
    let json = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| PageTokenError)?;
    let content: Content = serde_json::from_slice(&json).map_err(|_| PageTokenError)?;
    if content.list != list.name(organization) || !content.position.is_plausible() {
        return Err(PageTokenError);
    }
    Ok((content.position, content.unknown_roles))
}

/// The token that goes on at `position`; the empty one at the end.
pub(crate) fn write(position: Option<Cursor>, list: List, organization: &str) -> String {
    write_noting_roles(position, false, list, organization)
}

/// The same, and whether there were rows before that position of which none has a role that is known.
pub(crate) fn write_noting_roles(
    position: Option<Cursor>,
    unknown_roles: bool,
    list: List,
    organization: &str,
) -> String {
    let Some(position) = position else {
        return String::new();
    };
    let content = Content {
        list: list.name(organization),
        position,
        unknown_roles,
    };
    // Two plain data types without maps: they always serialise.
    let json = serde_json::to_vec(&content).unwrap_or_default();
    let body = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(json));
    let digest = digest_of(&body);
    format!("{body}.{digest}")
}

/// A part of a list that never changes: its rows from `token` on, `limit` at most, and the token behind them.
pub(crate) fn part_of<T: Copy>(
    rows: &[T],
    token: &str,
    limit: Option<NonZeroUsize>,
    list: List,
    organization: &str,
) -> Result<(Vec<T>, String), PageTokenError> {
    let from = read(token, list, organization)?.covered();
    let rest = rows.get(from as usize..).ok_or(PageTokenError)?;
    let part: Vec<T> = rest
        .iter()
        .copied()
        .take(limit.map_or(usize::MAX, NonZeroUsize::get))
        .collect();
    let behind = u32::try_from(part.len()).unwrap_or(u32::MAX).saturating_add(from);
    let next = (part.len() < rest.len()).then(|| Cursor::at_offset(behind));
    Ok((part, write(next, list, organization)))
}

fn digest_of(body: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, body.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after() -> Cursor {
        Cursor::After(Uuid::from_u128(7))
    }

    #[test]
    fn a_token_is_read_back_by_any_process() {
        let token = write(Some(after()), List::Teams, "acme");
        assert_eq!(read(&token, List::Teams, "acme"), Ok(after()));
        assert_eq!(read("", List::Teams, "acme"), Ok(Cursor::Start));
        assert_eq!(write(None, List::Teams, "acme"), "");
    }

    #[test]
    fn the_form_of_a_token_does_not_change_between_releases() {
        let token = write(Some(after()), List::Teams, "acme");
        assert_eq!(
            token,
            "1.eyJsaXN0IjoiYWNtZS90ZWFtcyIsInBvc2l0aW9uIjp7IkFmdGVyIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDA3In19.c32ae8937c16557c80f76bd48f8eebde"
        );
    }

    #[test]
    fn a_token_of_another_list_or_organization_is_refused() {
        let team: TeamId = Uuid::from_u128(1).into();
        let other: TeamId = Uuid::from_u128(2).into();
        let token = write(Some(after()), List::Members(team), "acme");
        assert_eq!(read(&token, List::Members(team), "acme"), Ok(after()));
        assert_eq!(read(&token, List::Members(other), "acme"), Err(PageTokenError));
        assert_eq!(read(&token, List::Teams, "acme"), Err(PageTokenError));
        assert_eq!(read(&token, List::Members(team), "Acme"), Err(PageTokenError));
    }

    proptest! {
        #[test]
        fn a_made_up_token_is_refused(text in "\\PC{1,200}") {
            prop_assert_eq!(read(&text, List::Teams, "acme"), Err(PageTokenError));
        }

        #[test]
        fn a_changed_token_is_refused(at in 0usize..100, with in "[a-zA-Z0-9]") {
            let token = write(Some(after()), List::Teams, "acme");
            let mut changed: Vec<char> = token.chars().collect();
            let at = at % changed.len();
            changed[at] = with.chars().next().unwrap();
            let changed: String = changed.into_iter().collect();
            prop_assume!(changed != token);
            prop_assert_eq!(read(&changed, List::Teams, "acme"), Err(PageTokenError));
        }
    }
}
