//! Test suites and package registries.

use jiff::Timestamp;
use uuid::Uuid;

use super::indexed_list::Keyed;
use super::organization::Organization;

/// A test suite.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The suite's UUID.
    pub id: Uuid,
    /// Slug, unique in the organization; it is the suite's name in paths, except those of a team's suites.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// The default branch, if there is one.
    pub default_branch: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Suite {
    /// A suite with a new id.
    #[must_use]
    pub fn new(slug: &str, name: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            default_branch: Some("main".to_owned()),
            created_at: Timestamp::now(),
        }
    }
}

/// A package registry.
#[derive(Clone, Debug)]
pub struct Registry {
    /// The registry's UUID.
    pub id: Uuid,
    /// Slug, unique in the organization; it is the registry's name in paths.
    pub slug: String,
    /// Display name.
    pub name: String,
    /// The kind of packages, such as `docker`.
    pub ecosystem: String,
    /// Whether everyone can read it.
    pub public: bool,
    /// The teams with access, at a level that the API does not show.
    pub teams: Vec<Uuid>,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Registry {
    /// A registry with a new id, to which no team has access.
    #[must_use]
    pub fn new(slug: &str, name: &str, ecosystem: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            slug: slug.to_owned(),
            name: name.to_owned(),
            ecosystem: ecosystem.to_owned(),
            public: false,
            teams: Vec::new(),
            created_at: Timestamp::now(),
        }
    }
}

impl Keyed for Suite {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Keyed for Registry {
    fn key(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Timestamp {
        self.created_at
    }
}

impl Organization {
    /// All suites, oldest first.
    #[must_use]
    pub fn suites(&self) -> &[Suite] {
        self.suites.as_slice()
    }

    /// The suite with this slug.
    #[must_use]
    pub fn suite_by_slug(&self, slug: &str) -> Option<&Suite> {
        self.suites().iter().find(|suite| suite.slug == slug)
    }

    /// Adds a suite, or replaces the suite with the same id. No team has access to a new one.
    pub fn add_suite(&mut self, suite: Suite) -> Uuid {
        let id = suite.id;
        self.suites.push(suite);
        id
    }

    /// Removes a suite, and the access of teams to it.
    pub fn remove_suite(&mut self, id: Uuid) -> Option<Suite> {
        for team in self.teams.iter_mut() {
            team.remove_suite(id);
        }
        self.suites.remove(id)
    }

    /// All registries, oldest first.
    #[must_use]
    pub fn registries(&self) -> &[Registry] {
        self.registries.as_slice()
    }

    /// The registry with this slug.
    #[must_use]
    pub fn registry_by_slug(&self, slug: &str) -> Option<&Registry> {
        self.registries().iter().find(|registry| registry.slug == slug)
    }

    /// Adds a registry, or replaces the registry with the same id.
    pub fn add_registry(&mut self, registry: Registry) -> Uuid {
        let id = registry.id;
        self.registries.push(registry);
        id
    }

    /// Removes a registry.
    pub fn remove_registry(&mut self, id: Uuid) -> Option<Registry> {
        self.registries.remove(id)
    }
}
