//! Page tokens: self-contained, versioned and checked.
//!
//! A token contains its list and the position at which the list continues, so that it is valid after a restart and in other
//! processes. It contains a digest of itself: an invented or truncated token is rejected before any request is sent. The digest
//! protects against mistakes, not against forgery; a forged position can only start a list at another place.

use std::num::NonZeroUsize;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::governance::connections::ConnectionName;
use crate::governance::model::{ResourceId, ResourceTypeInfo};
use crate::governance::provider::Cursor;

/// The version of the format. Tokens of other versions are rejected, and the client starts the list again.
const VERSION: &str = "1";

/// Maximum length of a token. The rows of two windows are shorter, and so are those of ten windows of a list that changed.
const MAX_LENGTH: usize = 64 * 1024;

/// The token was not made by this connector, or belongs to another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the page token was not made by this connector for this list: start the list again without one")]
pub struct PageTokenError;

/// What the lists of a token belong to: an organization, and the connection to it, if that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenScope {
    organization: String,
    /// The name of the connection and a colon; empty without a name.
    prefix: String,
}

impl TokenScope {
    pub(crate) fn new(organization: &str, connection: Option<&ConnectionName>) -> Self {
        Self {
            organization: organization.to_owned(),
            prefix: connection.map_or_else(String::new, |name| format!("{name}:")),
        }
    }
}

/// The list that a token belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    /// The resources of a type.
    Resources(&'static ResourceTypeInfo),
    /// The grants of a resource.
    Grants(ResourceId),
    /// The principals that only grants reference, after the provider's own list.
    Unlisted(&'static ResourceTypeInfo),
    /// The resource types.
    ResourceTypes,
    /// The entitlements of a resource.
    Entitlements(ResourceId),
}

impl List {
    fn name(self, TokenScope { organization, prefix }: &TokenScope) -> String {
        let name = match self {
            Self::Resources(resource_type) => format!("{organization}/{}", resource_type.list_name),
            Self::Grants(ResourceId { resource_type, id }) => {
                format!("{organization}/{}/{id}", resource_type.list_name)
            }
            Self::Unlisted(resource_type) => format!("{organization}/{}/unlisted", resource_type.list_name),
            Self::ResourceTypes => "resource-types".to_owned(),
            Self::Entitlements(ResourceId { resource_type, id }) => {
                format!("{organization}/{}/{id}/entitlements", resource_type.list_name)
            }
        };
        format!("{prefix}{name}")
    }
}

#[derive(Serialize, Deserialize)]
struct Content {
    list: String,
    position: Cursor,
    /// Whether there are rows before the position, and none has a known level.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unknown_roles: bool,
}

/// Where the token continues; `None`, the beginning, for the empty token.
pub(crate) fn read(token: &str, list: List, scope: &TokenScope) -> Result<Option<Cursor>, PageTokenError> {
    read_with_unknown_levels(token, list, scope).map(|(position, _)| position)
}

/// As [`read`], and whether there are rows before the position, none of which has a known level.
pub(crate) fn read_with_unknown_levels(
    token: &str,
    list: List,
    scope: &TokenScope,
) -> Result<(Option<Cursor>, bool), PageTokenError> {
    if token.is_empty() {
        return Ok((None, false));
    }
    if token.len() > MAX_LENGTH {
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
    if content.list != list.name(scope) {
        return Err(PageTokenError);
    }
    Ok((Some(content.position), content.unknown_roles))
}

/// The token that continues at `position`; the empty token at the end.
pub(crate) fn write(position: Option<Cursor>, list: List, scope: &TokenScope) -> String {
    write_with_unknown_levels(position, false, list, scope)
}

/// As [`write`], with whether there are rows before the position, none of which has a known level.
pub(crate) fn write_with_unknown_levels(
    position: Option<Cursor>,
    unknown_roles: bool,
    list: List,
    scope: &TokenScope,
) -> String {
    let Some(position) = position else {
        return String::new();
    };
    let content = Content {
        list: list.name(scope),
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

/// A page of a list that never changes: its rows from `token` on, `limit` at most, and the token of the next page.
pub(crate) fn static_page<T: Copy>(
    rows: &[T],
    token: &str,
    limit: Option<NonZeroUsize>,
    list: List,
    scope: &TokenScope,
) -> Result<(Vec<T>, String), PageTokenError> {
    let from = match read(token, list, scope)? {
        None => 0,
        Some(cursor) => match Position::of(&cursor)? {
            Position::Offset(rows) => rows,
            Position::After(_) => return Err(PageTokenError),
        },
    };
    let rest = rows.get(from..).ok_or(PageTokenError)?;
    let page: Vec<T> = rest
        .iter()
        .copied()
        .take(limit.map_or(usize::MAX, NonZeroUsize::get))
        .collect();
    let next = (page.len() < rest.len()).then(|| Position::Offset(from.saturating_add(page.len())));
    Ok((page, write(next.and_then(Position::cursor), list, scope)))
}

fn digest_of(body: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, body.as_bytes()).simple().to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::governance::model::examples;

    fn acme() -> TokenScope {
        TokenScope::new("acme", None)
    }

    const RESOURCES: List = List::Resources(&examples::GROUP);

    fn after() -> Cursor {
        Position::After(Uuid::from_u128(7)).cursor().unwrap()
    }

    fn grants(number: u128) -> List {
        List::Grants(examples::group(number))
    }

    #[test]
    fn every_process_reads_a_token() {
        let token = write(Some(after()), RESOURCES, &acme());
        assert_eq!(read(&token, RESOURCES, &acme()), Ok(Some(after())));
        assert_eq!(read("", RESOURCES, &acme()), Ok(None));
        assert_eq!(write(None, RESOURCES, &acme()), "");
    }

    #[test]
    fn the_format_of_a_token_does_not_change_between_releases() {
        let token = write(Some(after()), RESOURCES, &acme());
        assert_eq!(
            token,
            "1.eyJsaXN0IjoiYWNtZS90ZWFtcyIsInBvc2l0aW9uIjp7IkFmdGVyIjoiMDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDA3In19.c32ae8937c16557c80f76bd48f8eebde"
        );
    }

    #[test]
    fn a_token_of_another_list_or_organization_is_rejected() {
        let token = write(Some(after()), grants(1), &acme());
        assert_eq!(read(&token, grants(1), &acme()), Ok(Some(after())));
        assert_eq!(read(&token, grants(2), &acme()), Err(PageTokenError));
        assert_eq!(read(&token, RESOURCES, &acme()), Err(PageTokenError));
        let other = TokenScope::new("Acme", None);
        assert_eq!(read(&token, grants(1), &other), Err(PageTokenError));
    }

    #[test]
    fn a_token_of_another_connection_to_the_same_organization_is_rejected() {
        let of = |name: &str| TokenScope::new("acme", Some(&name.parse().unwrap()));
        for list in [RESOURCES, grants(1), List::ResourceTypes] {
            let token = write(Some(after()), list, &of("first"));
            assert_eq!(read(&token, list, &of("first")), Ok(Some(after())));
            for other in [of("second"), acme()] {
                assert_eq!(read(&token, list, &other), Err(PageTokenError));
            }
        }
    }

    proptest! {
        #[test]
        fn an_invented_token_is_rejected(text in "\\PC{1,200}") {
            prop_assert_eq!(read(&text, RESOURCES, &acme()), Err(PageTokenError));
        }

        #[test]
        fn a_changed_token_is_rejected(at in 0usize..100, with in "[a-zA-Z0-9]") {
            let token = write(Some(after()), RESOURCES, &acme());
            let mut changed: Vec<char> = token.chars().collect();
            let at = at % changed.len();
            changed[at] = with.chars().next().unwrap();
            let changed: String = changed.into_iter().collect();
            prop_assume!(changed != token);
            prop_assert_eq!(read(&changed, RESOURCES, &acme()), Err(PageTokenError));
        }
    }
}
