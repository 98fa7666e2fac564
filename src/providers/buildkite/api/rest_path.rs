//! The paths that a caller may read as they are: a fixed list of templates below the configured organization.
//!
//! A path is matched segment by segment, and sent as the segments that matched. None of them can hold a slash, a dot segment or an
//! encoded character, so that no path leads out of the organization.

use uuid::Uuid;

use super::ids::{ObjectSlug, OrganizationSlug};
use super::scope::Scope;

/// What one segment of a path can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Segment {
    /// This word.
    Word(&'static str),
    /// A UUID.
    Id,
    /// The slug of an object.
    Slug,
    /// The number of a build.
    Number,
}

use Segment::{Id, Number, Slug, Word};

/// Every path, and the scope that it needs.
const TEMPLATES: [(&[Segment], Scope); 19] = [
    (&[Word("teams")], Scope::ReadTeams),
    (&[Word("teams"), Id], Scope::ReadTeams),
    (&[Word("teams"), Id, Word("members")], Scope::ReadTeams),
    (&[Word("teams"), Id, Word("pipelines")], Scope::ReadTeams),
    (&[Word("teams"), Id, Word("suites")], Scope::ReadTeams),
    (&[Word("members")], Scope::ReadOrganizations),
    (&[Word("members"), Id], Scope::ReadOrganizations),
    (&[Word("pipelines")], Scope::ReadPipelines),
    (&[Word("pipelines"), Slug], Scope::ReadPipelines),
    (&[Word("pipelines"), Slug, Word("builds")], Scope::ReadBuilds),
    (&[Word("pipelines"), Slug, Word("builds"), Number], Scope::ReadBuilds),
    (&[Word("agents")], Scope::ReadAgents),
    (&[Word("agents"), Id], Scope::ReadAgents),
    (&[Word("clusters")], Scope::ReadClusters),
    (&[Word("clusters"), Id], Scope::ReadClusters),
    (&[Word("suites")], Scope::ReadSuites),
    (&[Word("suites"), Slug], Scope::ReadSuites),
    (&[Word("registries")], Scope::ReadRegistries),
    (&[Word("registries"), Slug], Scope::ReadRegistries),
];

/// The largest page that a list has.
const MAX_PER_PAGE: u32 = 100;

/// Parts of the names of parameters that hold a credential.
const CREDENTIALS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "authorization",
    "credential",
    "api_key",
    "apikey",
    "access_key",
    "private_key",
    "signature",
];

/// Whether the name of a parameter says that it holds a credential.
pub(crate) fn names_credential(name: &str) -> bool {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    CREDENTIALS.iter().any(|part| lower.contains(part))
}

/// A path of the list, with its query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RestPath {
    scope: Scope,
    template: &'static [Segment],
    segments: Vec<String>,
    query: Vec<(String, String)>,
}

impl RestPath {
    /// Parses a path relative to the organization, such as `/teams`.
    ///
    /// # Errors
    /// One sentence that shows the paths that can be read.
    pub(crate) fn parse(path: &str) -> Result<Self, String> {
        let relative = path.strip_prefix('/').ok_or_else(unknown_path)?;
        let segments: Vec<&str> = relative.split('/').collect();
        let fits = |template: &[Segment]| {
            template.len() == segments.len() && template.iter().zip(&segments).all(|(of, text)| of.accepts(text))
        };
        let (template, scope) = TEMPLATES
            .into_iter()
            .find(|(template, _)| fits(template))
            .ok_or_else(unknown_path)?;
        Ok(Self {
            scope,
            template,
            segments: segments.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
        })
    }

    /// The same path with the parameters of a query.
    ///
    /// # Errors
    /// One sentence about a parameter that is not sent.
    pub(crate) fn with_query<'a>(
        self,
        parameters: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<Self, String> {
        let mut query = Vec::new();
        for (name, value) in parameters {
            if names_credential(name) {
                return Err("a credential is never sent in a query: leave it out".to_owned());
            }
            let is_page = value.parse().is_ok_and(|rows: u32| (1..=MAX_PER_PAGE).contains(&rows));
            if name.to_ascii_lowercase().replace('-', "_") == "per_page" && !is_page {
                return Err(format!("`per_page` is a number from 1 to {MAX_PER_PAGE}"));
            }
            query.push((name.clone(), value.clone()));
        }
        Ok(Self { query, ..self })
    }

    /// The scope that the path needs.
    pub(crate) fn scope(&self) -> Scope {
        self.scope
    }

    /// The path relative to the organization with placeholders, as in `/teams/{uuid}`.
    pub(crate) fn template(&self) -> String {
        let segments = self.template.iter().map(|segment| match segment {
            Word(word) => format!("/{word}"),
            Id => "/{uuid}".to_owned(),
            Slug => "/{slug}".to_owned(),
            Number => "/{number}".to_owned(),
        });
        segments.collect()
    }

    /// The parameters of the query.
    pub(crate) fn query(&self) -> &[(String, String)] {
        &self.query
    }

    /// The segments of the path below `/v2`. Test Engine and Package Registries have roots of their own.
    pub(crate) fn segments(&self, organization: &OrganizationSlug) -> Vec<String> {
        let root = match self.segments.first().map(String::as_str) {
            Some("suites") => Some("analytics"),
            Some("registries") => Some("packages"),
            _ => None,
        };
        let root = root.into_iter().chain(["organizations"]).map(str::to_owned);
        root.chain([organization.to_string()])
            .chain(self.segments.iter().cloned())
            .collect()
    }
}

impl Segment {
    fn accepts(self, text: &str) -> bool {
        match self {
            Self::Word(word) => text == word,
            Self::Id => text.len() == uuid::fmt::Hyphenated::LENGTH && Uuid::try_parse(text).is_ok(),
            Self::Slug => !text.is_empty() && ObjectSlug::of(text).is_some(),
            Self::Number => text.bytes().all(|digit| digit.is_ascii_digit()) && text.parse::<u64>().is_ok(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Word(word) => word,
            Self::Id => "<uuid>",
            Self::Slug => "<slug>",
            Self::Number => "<number>",
        }
    }
}

fn unknown_path() -> String {
    let paths: Vec<String> = TEMPLATES
        .iter()
        .map(|(template, _)| template.iter().fold(String::new(), |path, of| path + "/" + of.name()))
        .collect();
    format!("the paths that can be read are {}", paths.join(", "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const ID: &str = "0198c3f2-7d5e-4a1b-8c9d-0e1f2a3b4c5d";

    fn sent(path: &str) -> Result<String, String> {
        let organization = "acme".parse().unwrap();
        RestPath::parse(path).map(|path| path.segments(&organization).join("/"))
    }

    #[rstest]
    #[case("/teams", "organizations/acme/teams")]
    #[case(&format!("/teams/{ID}/members"), &format!("organizations/acme/teams/{ID}/members"))]
    #[case("/pipelines/my-app/builds/7", "organizations/acme/pipelines/my-app/builds/7")]
    #[case("/suites/rspec", "analytics/organizations/acme/suites/rspec")]
    #[case("/registries", "packages/organizations/acme/registries")]
    fn a_path_of_the_list_is_below_the_organization(#[case] path: &str, #[case] expected: &str) {
        assert_eq!(sent(path).unwrap(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("teams")]
    #[case("/")]
    #[case("/teams/")]
    #[case("//teams")]
    #[case("/teams?user_id=1")]
    #[case("/teams#x")]
    #[case("/pipelines/..")]
    #[case("/pipelines/%2e%2e")]
    #[case("/pipelines/a%2Fb")]
    #[case("/pipelines/a\\b")]
    #[case("/pipelines/../../../access-token")]
    #[case("/organizations/other/teams")]
    #[case("https://api.buildkite.com/v2/user")]
    #[case("/access-token")]
    #[case("/teams/acme")]
    #[case("/pipelines/a/builds/-1")]
    #[case("/pipelines/a/builds/1/jobs")]
    fn another_path_is_refused(#[case] path: &str) {
        assert!(
            sent(path)
                .unwrap_err()
                .starts_with("the paths that can be read are /teams, ")
        );
    }

    #[rstest]
    #[case("access_token", "x", "a credential")]
    #[case("API-Key", "x", "a credential")]
    #[case("per_page", "101", "`per_page` is a number from 1 to 100")]
    #[case("per_page", "0", "`per_page`")]
    #[case("PER_PAGE", "many", "`per_page`")]
    fn a_query_with_a_credential_or_a_page_that_is_too_large_is_refused(
        #[case] name: &str,
        #[case] value: &str,
        #[case] begins: &str,
    ) {
        let query = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let refused = RestPath::parse("/teams").unwrap().with_query(&query).unwrap_err();
        assert!(refused.starts_with(begins), "{refused}");
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_organization(path in "/[a-z%./\\\\]{0,30}") {
            if let Ok(path) = sent(&path) {
                prop_assert!(path.contains("organizations/acme/"));
                prop_assert!(path.split('/').all(|segment| !segment.is_empty() && segment != "." && segment != ".."));
            }
        }
    }
}
