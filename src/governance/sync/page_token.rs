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

use crate::governance::model::{ResourceId, ResourceTypeInfo};
use crate::governance::provider::Cursor;

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
    /// The resources of a type.
    Resources(&'static ResourceTypeInfo),
    /// The grants of a resource.
    Grants(ResourceId),
    /// The principals that only grants name, after the provider's own list of them.
    Unlisted(&'static ResourceTypeInfo),
    /// The resource types.
    ResourceTypes,
    /// The entitlements of a resource.
    Entitlements(ResourceId),
}

impl List {
    fn name(self, organization: &str) -> String {
        match self {
            Self::Resources(resource_type) => format!("{organization}/{}", resource_type.list_name),
            Self::Grants(ResourceId { resource_type, id }) => {
                format!("{organization}/{}/{id}", resource_type.list_name)
            }
            Self::Unlisted(resource_type) => format!("{organization}/{}/unlisted", resource_type.list_name),
            Self::ResourceTypes => "resource-types".to_owned(),
            Self::Entitlements(ResourceId { resource_type, id }) => {
                format!("{organization}/{}/{id}/entitlements", resource_type.list_name)
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    list: String,
    position: Cursor,
    /// Whether there were rows before the position of which none has a level that is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unknown_roles: bool,
}

/// Where the token continues; `None`, the beginning, for the empty token.
pub(crate) fn read(token: &str, list: List, organization: &str) -> Result<Option<Cursor>, PageTokenError> {
    read_with_unknown_levels(token, list, organization).map(|(position, _)| position)
}

/// The same, and whether there were rows before that position of which none has a level that is known.
pub(crate) fn read_with_unknown_levels(
    token: &str,
    list: List,
    organization: &str,
) -> Result<(Option<Cursor>, bool), PageTokenError> {
    if token.is_empty() {
        return Ok((None, false));
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
    if content.list != list.name(organization) {
        return Err(PageTokenError);
    }
    Ok((Some(content.position), content.unknown_roles))
}

/// The token that continues at `position`; the empty token at the end.
pub(crate) fn write(position: Option<Cursor>, list: List, organization: &str) -> String {
    write_with_unknown_levels(position, false, list, organization)
}

/// The same, and whether there were rows before that position of which none has a level that is known.
pub(crate) fn write_with_unknown_levels(
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
    // Plain data without maps always serialises.
    let json = serde_json::to_vec(&content).unwrap_or_default();
    let body = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(json));
    let digest = digest_of(&body);
    format!("{body}.{digest}")
}

/// A position in a list that governance itself produces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Position {
    /// After the resource with this id, in the order of ids.
    After(Uuid),
    /// After this many rows of a list that never changes.
    Offset(usize),
}

impl Position {
    /// The position as a cursor.
    pub(crate) fn cursor(self) -> Option<Cursor> {
        Cursor::new(&self)
    }

    /// The position that a cursor holds.
    pub(crate) fn of(cursor: &Cursor) -> Result<Self, PageTokenError> {
        cursor.parse().map_err(|_| PageTokenError)
    }
}

/// A part of a list that never changes: its rows from `token` on, `limit` at most, and the token after them.
pub(crate) fn part_of<T: Copy>(
    rows: &[T],
    token: &str,
    limit: Option<NonZeroUsize>,
    list: List,
    organization: &str,
) -> Result<(Vec<T>, String), PageTokenError> {
    let from = match read(token, list, organization)? {
        None => 0,
        Some(cursor) => match Position::of(&cursor)? {
            Position::Offset(rows) => rows,
            Position::After(_) => return Err(PageTokenError),
        },
    };
    let rest = rows.get(from..).ok_or(PageTokenError)?;
    let part: Vec<T> = rest
        .iter()
        .copied()
        .take(limit.map_or(usize::MAX, NonZeroUsize::get))
        .collect();
    let next = (part.len() < rest.len()).then(|| Position::Offset(from.saturating_add(part.len())));
    Ok((part, write(next.and_then(Position::cursor), list, organization)))
}

fn digest_of(body: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, body.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::governance::model::examples;

    const TEAMS: List = List::Resources(&examples::GROUP);

    fn after() -> Cursor {
        Position::After(Uuid::from_u128(7)).cursor().unwrap()
    }

    fn members(number: u128) -> List {
        List::Grants(examples::group(number))
    }

    #[test]
    fn a_token_is_read_back_by_any_process() {
        let token = write(Some(after()), TEAMS, "acme");
        assert_eq!(read(&token, TEAMS, "acme"), Ok(Some(after())));
        assert_eq!(read("", TEAMS, "acme"), Ok(None));
        assert_eq!(write(None, TEAMS, "acme"), "");
    }

    #[test]
    fn the_form_of_a_token_does_not_change_between_releases() {
        let token = write(Some(after()), TEAMS, "acme");
        assert_eq!(
            token,
            "1.eyJsaXN0IjoiYWNtZS90ZWFtcyIsInBvc2l0aW9uIjp7IkFmdGVyIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDA3In19.c32ae8937c16557c80f76bd48f8eebde"
        );
    }

    #[test]
    fn a_token_of_another_list_or_organization_is_refused() {
        let token = write(Some(after()), members(1), "acme");
        assert_eq!(read(&token, members(1), "acme"), Ok(Some(after())));
        assert_eq!(read(&token, members(2), "acme"), Err(PageTokenError));
        assert_eq!(read(&token, TEAMS, "acme"), Err(PageTokenError));
        assert_eq!(read(&token, members(1), "Acme"), Err(PageTokenError));
    }

    proptest! {
        #[test]
        fn a_made_up_token_is_refused(text in "\\PC{1,200}") {
            prop_assert_eq!(read(&text, TEAMS, "acme"), Err(PageTokenError));
        }

        #[test]
        fn a_changed_token_is_refused(at in 0usize..100, with in "[a-zA-Z0-9]") {
            let token = write(Some(after()), TEAMS, "acme");
            let mut changed: Vec<char> = token.chars().collect();
            let at = at % changed.len();
            changed[at] = with.chars().next().unwrap();
            let changed: String = changed.into_iter().collect();
            prop_assume!(changed != token);
            prop_assert_eq!(read(&changed, TEAMS, "acme"), Err(PageTokenError));
        }
    }
}
