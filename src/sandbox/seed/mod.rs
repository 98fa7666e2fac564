//! The initial organization: a small example company, or a generated organization of any size.

mod example;
mod example_objects;
mod rng;
mod sized;
mod sized_objects;

use super::organization::Organization;

pub use sized::Size;

/// The initial organization. The same seed always produces the same ids.
#[derive(Clone, Debug, Default)]
pub enum Seed {
    /// The example company: fourteen people and seven teams, one of them secret, and a handful of everything else.
    #[default]
    Example,
    /// A generated organization.
    Sized(Size),
    /// The given organization. It must have at least one person: the default token belongs to its first admin.
    Given(Box<Organization>),
}

impl Seed {
    /// Builds the organization.
    #[must_use]
    pub fn build(self) -> Organization {
        match self {
            Self::Example => example::build(),
            Self::Sized(size) => sized::build(size),
            Self::Given(organization) => *organization,
        }
    }
}
