//! Where the organization comes from: a small one that reads like a real company, or one of any size from a number.

mod example;
mod rng;
mod sized;

use super::organization::Organization;

pub use sized::Size;

/// Where the organization comes from. The same seed makes the same ids, always.
#[derive(Clone, Debug, Default)]
pub enum Seed {
    /// Fourteen people and seven teams, one of them secret.
    #[default]
    Example,
    /// Generated.
    Sized(Size),
    /// Made by the caller. Somebody must be in it: the default token belongs to its first admin.
    Given(Box<Organization>),
}

impl Seed {
    /// The organization at the start.
    #[must_use]
    pub fn build(self) -> Organization {
        match self {
            Self::Example => example::organization(),
            Self::Sized(size) => sized::organization(size),
            Self::Given(organization) => *organization,
        }
    }
}
