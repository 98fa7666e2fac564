//! Names by id, and grants with their names.

use std::collections::HashMap;

use serde::Serialize;
use uuid::Uuid;

use crate::proto::c1::connector::v2::{Grant, Resource, ResourceId, UserTrait};

/// The id of the resource type of users.
pub(super) const USER: &str = "user";

/// The id of the resource type of teams.
pub(super) const TEAM: &str = "team";

/// Two names of each resource that a sync listed: slug and name of a team, name and e-mail address of a user.
///
/// All texts are in one buffer, because there may be 50,000 of them and one allocation each would dominate a sync's memory.
#[derive(Debug, Default)]
pub struct ResourceNames {
    texts: String,
    spans: HashMap<Uuid, Span>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    begin: u32,
    first: u16,
    second: u16,
}

/// A grant with the names of its resource and its user.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct NamedGrant {
    /// The resource's type, such as `team`.
    pub resource_type: String,
    /// The team's slug.
    pub team_slug: String,
    /// The team's name.
    pub team_name: String,
    /// The role, which is the entitlement's slug.
    pub role: String,
    /// The user's name.
    pub user_name: String,
    /// The user's e-mail address.
    pub user_email: String,
    /// The team's id.
    pub team_id: String,
    /// The user's id.
    pub user_id: String,
}

impl ResourceNames {
    /// Adds a resource's names.
    pub fn add(&mut self, resource: &Resource) {
        let Some(id) = resource.id.as_ref() else {
            return;
        };
        let [first, second] = names(resource);
        let span = (
            Uuid::parse_str(&id.resource),
            u32::try_from(self.texts.len()),
            u16::try_from(first.len()),
            u16::try_from(second.len()),
        );
        if let (Ok(id), Ok(begin), Ok(first_length), Ok(second_length)) = span {
            self.texts.push_str(&first);
            self.texts.push_str(&second);
            let span = Span {
                begin,
                first: first_length,
                second: second_length,
            };
            self.spans.insert(id, span);
        }
    }

    /// Both names of a resource, if it was listed.
    fn names(&self, id: &str) -> Option<(&str, &str)> {
        let span = self.spans.get(&Uuid::parse_str(id).ok()?)?;
        let begin = usize::try_from(span.begin).ok()?;
        let middle = begin + usize::from(span.first);
        let end = middle + usize::from(span.second);
        Some((self.texts.get(begin..middle)?, self.texts.get(middle..end)?))
    }

    /// A grant with the names of its team and its user. The name of an unlisted user is taken from the grant.
    #[must_use]
    pub fn named_grant(&self, grant: &Grant) -> NamedGrant {
        let entitlement = grant.entitlement.as_ref();
        let team = entitlement.and_then(|held| held.resource.as_ref()?.id.as_ref());
        let (resource_type, team_id) = type_and_id(team);
        let principal = grant.principal.as_ref();
        let (_, user_id) = type_and_id(principal.and_then(|principal| principal.id.as_ref()));
        let (team_slug, team_name) = self.names(team_id).unwrap_or_default();
        let listed = self.names(user_id);
        let given = principal
            .map(|principal| principal.display_name.as_str())
            .unwrap_or_default();
        let (user_name, user_email) = listed.unwrap_or((given, ""));
        NamedGrant {
            resource_type: resource_type.to_owned(),
            team_slug: team_slug.to_owned(),
            team_name: team_name.to_owned(),
            role: entitlement.map(|held| held.slug.clone()).unwrap_or_default(),
            user_name: user_name.to_owned(),
            user_email: user_email.to_owned(),
            team_id: team_id.to_owned(),
            user_id: user_id.to_owned(),
        }
    }
}

/// A resource's type and id; empty if it has none.
fn type_and_id(id: Option<&ResourceId>) -> (&str, &str) {
    id.map(|id| (id.resource_type.as_str(), id.resource.as_str()))
        .unwrap_or_default()
}

/// The two names of a resource: name and e-mail address of a user, slug and name of any other type.
pub(super) fn names(resource: &Resource) -> [String; 2] {
    let name = resource.display_name.clone();
    if type_and_id(resource.id.as_ref()).0 == USER {
        [name, email(resource)]
    } else {
        [profile(resource, "slug"), name]
    }
}

/// A user's primary e-mail address; the login, if the address does not comply with the protocol's rule.
#[must_use]
pub(super) fn email(user: &Resource) -> String {
    let details = user
        .annotations
        .iter()
        .find_map(|annotation| annotation.to_msg::<UserTrait>().ok());
    let Some(details) = details else {
        return String::new();
    };
    let primary = details.emails.iter().find(|email| email.is_primary);
    primary
        .or(details.emails.first())
        .map_or(details.login, |email| email.address.clone())
}

/// A text of the resource's profile; empty if it is missing.
#[must_use]
pub(super) fn profile(resource: &Resource, field: &str) -> String {
    use prost_types::value::Kind;
    let value = resource.profile.as_ref().and_then(|profile| profile.fields.get(field));
    match value.and_then(|value| value.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.clone(),
        _ => String::new(),
    }
}
