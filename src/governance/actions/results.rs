//! What an action returns.

use crate::governance::model::{Grant, Resource};

/// A returned value.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionValue {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// True or false.
    Flag(bool),
    /// A resource.
    Resource(Box<Resource>),
    /// Grants.
    Grants(Vec<Grant>),
}

/// The bytes that a resource or a grant takes at least.
const ROW_SIZE: usize = 512;

impl ActionValue {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) | Self::Flag(_) => size_of::<u64>(),
            Self::Resource(resource) => ROW_SIZE + resource.description.as_ref().map_or(0, String::len),
            Self::Grants(grants) => grants.len() * ROW_SIZE,
        }
    }
}

/// The returned fields, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ActionResults(Vec<(&'static str, ActionValue)>);

impl ActionResults {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields with another one.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: ActionValue) -> Self {
        self.0.push((name, value));
        self
    }

    /// The fields with another text.
    #[must_use]
    pub fn with_text(self, name: &'static str, text: impl Into<String>) -> Self {
        self.with(name, ActionValue::Text(text.into()))
    }

    /// The fields with a resource.
    #[must_use]
    pub fn with_resource(self, name: &'static str, resource: Resource) -> Self {
        self.with(name, ActionValue::Resource(Box::new(resource)))
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &ActionValue)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// About how many bytes they take.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.size()).sum()
    }
}
