//! Actions as a provider declares them: their names, arguments and returned fields, and what permits them.

use crate::governance::model::ResourceTypeInfo;
use crate::governance::{AllowedChanges, Change};

/// What an action does, which decides the component that carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionOperation {
    /// Creates a resource of the action's type, from the arguments.
    Create,
    /// Deletes the resource that the argument named after the action's type names.
    Delete,
    /// Lists the grants of that resource.
    ListGrants,
    /// Finds the user with an e-mail address.
    FindUser,
    /// The provider changes that resource.
    Change,
    /// The provider reads something.
    Read,
}

/// An action of a provider.
#[derive(Debug)]
pub struct ActionInfo {
    /// The name, unique among the actions of the provider.
    pub name: &'static str,
    /// The display name.
    pub display_name: &'static str,
    /// What it does.
    pub description: &'static str,
    /// The type whose resources it is about; `None` if it is about the whole organization.
    pub resource_type: Option<&'static ResourceTypeInfo>,
    /// The operation, which decides the component that carries it out.
    pub operation: ActionOperation,
    /// The kind of change that permits it; `None` for an action that is offered beside any other.
    pub change: Option<Change>,
    /// Whether callers that only read may invoke it.
    pub for_readers: bool,
    /// Whether it is about no resources but those that the operator named for it.
    pub named_resources_only: bool,
    /// The arguments.
    pub arguments: &'static [ActionField],
    /// Arguments of which at least one has to be given; empty if there is no such rule.
    pub at_least_one_of: &'static [&'static str],
    /// The returned fields beside `success`.
    pub returns: &'static [ActionField],
    /// The scopes of the credential that it needs.
    pub scopes: &'static [&'static str],
}

impl ActionInfo {
    /// Whether it changes something.
    #[must_use]
    pub fn is_change(&self) -> bool {
        matches!(
            self.operation,
            ActionOperation::Create | ActionOperation::Delete | ActionOperation::Change
        )
    }

    /// The argument with this name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&'static ActionField> {
        self.arguments.iter().find(|argument| argument.name == name)
    }
}

/// The actions that `allowed` permits, in the order of `all`. Those without a change of their own come with any other.
pub fn offered<'a>(
    all: &'a [&'static ActionInfo],
    allowed: &'a AllowedChanges,
) -> impl Iterator<Item = &'static ActionInfo> + 'a {
    let has_any = all.iter().any(|action| is_permitted(action, allowed));
    let is_offered =
        move |action: &&'static ActionInfo| (action.change.is_none() && has_any) || is_permitted(action, allowed);
    all.iter().copied().filter(is_offered)
}

fn is_permitted(action: &ActionInfo, allowed: &AllowedChanges) -> bool {
    action.change.is_some_and(|change| allowed.allows(change))
}

/// An argument of an action, or a field that it returns.
#[derive(Debug, Clone, Copy)]
pub struct ActionField {
    /// The name.
    pub name: &'static str,
    /// The display name.
    pub display_name: &'static str,
    /// What it means.
    pub description: &'static str,
    /// Whether it has to be given.
    pub required: bool,
    /// What it holds.
    pub kind: FieldKind,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// Text.
    Text(TextRules),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An e-mail address.
    Email,
    /// A UUID.
    Id,
    /// A whole number of 1 or more.
    Number,
    /// True or false.
    Flag,
    /// Texts by name.
    Map,
    /// The id of a resource of this type.
    ResourceId(&'static ResourceTypeInfo),
    /// A resource; only returned.
    Resource,
    /// Grants; only returned.
    Grants,
}

/// The rules of a text.
#[derive(Debug, Clone, Copy)]
pub struct TextRules {
    /// The maximum length in characters.
    pub max_length: usize,
    /// Whether an empty text is a value. If not, it is treated as missing.
    pub may_be_empty: bool,
    /// The value that a missing argument has; empty if there is none.
    pub default: &'static str,
}
