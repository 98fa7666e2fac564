//! One sync: everything that the organization holds, in the order of the protocol's own syncer.

use std::collections::{HashMap, HashSet};

use svix_ksuid::{Ksuid, KsuidLike};

use super::{ExportError, Progress, Row, Sink, Stage};
use crate::governance::{EntitlementId, Governance, GovernanceError, Page, ResourceId, ResourceKind, TeamGrant};
use crate::proto::c1::connector::v2::Resource;
use crate::providers::buildkite::{CallContext, Lane, OrganizationMember, Role, Team, TeamId};
use crate::wire::rows;

/// What a sync reads; by default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// Only resources of these types, and no grant to a principal of another; none for all types.
    pub types: Option<Vec<ResourceKind>>,
    /// Only these resources, each with its entitlements and grants; empty for all.
    pub targets: Vec<ResourceId>,
    /// Leave grants out.
    pub skip_grants: bool,
    /// Leave entitlements and grants out.
    pub skip_entitlements_and_grants: bool,
}

/// What a run of a sync is worth to its readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunType {
    /// Everything.
    Full,
    /// Some resources only.
    Partial,
    /// Resources without entitlements and grants.
    ResourcesOnly,
}

impl RunType {
    /// The name in a c1z.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::ResourcesOnly => "resources_only",
        }
    }
}

impl SyncOptions {
    /// What a run with these options is.
    #[must_use]
    pub fn run_type(&self) -> RunType {
        if !self.targets.is_empty() {
            RunType::Partial
        } else if self.skip_entitlements_and_grants {
            RunType::ResourcesOnly
        } else {
            RunType::Full
        }
    }

    fn includes(&self, kind: ResourceKind) -> bool {
        self.types.as_ref().is_none_or(|types| types.contains(&kind))
    }

    fn reads_grants(&self) -> bool {
        // The principal of every grant is a user.
        !self.skip_grants && !self.skip_entitlements_and_grants && self.includes(ResourceKind::User)
    }
}

/// How many rows of each kind a sync had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users.
    pub users: usize,
    /// Teams.
    pub teams: usize,
    /// Entitlements.
    pub entitlements: usize,
    /// Grants.
    pub grants: usize,
}

/// Reads the organization and hands every row to `sink`, once and as soon as it is known.
///
/// # Errors
/// What keeps the organization from being read whole, or the sink's own failure. The rows so far are then worth nothing.
pub async fn sync(
    access: &Governance,
    options: &SyncOptions,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Counts, ExportError> {
    for kind in ResourceKind::ALL.into_iter().filter(|kind| options.includes(*kind)) {
        sink.write(Row::ResourceType(&rows::resource_type(kind)))?;
    }
    let mut run = Run {
        reader: Reader::begin(access, progress),
        options,
        sink,
        counts: Counts::default(),
    };
    if options.targets.is_empty() {
        run.everything().await?;
    } else {
        run.targets().await?;
    }
    Ok(run.counts)
}

/// A sync under way.
struct Run<'a> {
    reader: Reader<'a>,
    options: &'a SyncOptions,
    sink: &'a mut dyn Sink,
    counts: Counts,
}

impl Run<'_> {
    async fn everything(&mut self) -> Result<(), ExportError> {
        let Self {
            reader,
            options,
            sink,
            counts,
        } = self;
        if options.includes(ResourceKind::User) {
            let each = |user| {
                counts.users += 1;
                sink.write(Row::Resource(&rows::user(user)))
            };
            reader.users(each).await?;
        }
        let mut teams = Vec::new();
        if options.includes(ResourceKind::Team) {
            let organization = reader.access.organization();
            let each = |team: Team| {
                let id = team.id;
                let resource = rows::team(team, organization);
                sink.write(Row::Resource(&resource))?;
                teams.push((id, resource.display_name));
                Ok(())
            };
            reader.teams(each).await?;
        }
        counts.teams = teams.len();
        for (team, name) in &teams {
            self.entitlements(*team, name)?;
        }
        if self.options.reads_grants() {
            self.reader.progress.begin(Stage::Members);
            self.reader.progress.expect(teams.len());
            for (team, _) in teams {
                let holders = self.reader.holders(team).await?;
                self.grants(team, &holders)?;
            }
        }
        Ok(())
    }

    async fn targets(&mut self) -> Result<(), ExportError> {
        let mut known = HashSet::new();
        self.reader.progress.begin(Stage::Members);
        self.reader.progress.expect(self.options.targets.len());
        for target in self.options.targets.iter().filter(|target| known.insert(**target)) {
            match self.target(*target).await {
                // Proven absent. The protocol's own syncer passes over such a target too.
                Err(ExportError::Read(
                    error @ (GovernanceError::TeamNotFound { .. } | GovernanceError::UserNotFound { .. }),
                )) => {
                    tracing::warn!("sync: {error}; this resource is left out");
                }
                done => done?,
            }
            self.reader.progress.team_read();
        }
        Ok(())
    }

    async fn target(&mut self, target: ResourceId) -> Result<(), ExportError> {
        let Reader { access, call, .. } = &self.reader;
        match target {
            ResourceId::User(user) if self.options.includes(ResourceKind::User) => {
                let user = access.user(user, call).await?;
                self.sink.write(Row::Resource(&rows::user(user)))?;
                self.counts.users += 1;
            }
            ResourceId::Team(id) if self.options.includes(ResourceKind::Team) => {
                let team = rows::team(access.team(id, call).await?, access.organization());
                // Read before anything of the team is written: a team that goes away meanwhile is left out whole.
                let holders = if self.options.reads_grants() {
                    self.reader.holders_of_one(id).await?
                } else {
                    vec![]
                };
                self.sink.write(Row::Resource(&team))?;
                self.counts.teams += 1;
                self.entitlements(id, &team.display_name)?;
                self.grants(id, &holders)?;
            }
            ResourceId::User(_) | ResourceId::Team(_) => {}
        }
        Ok(())
    }

    fn entitlements(&mut self, team: TeamId, name: &str) -> Result<(), ExportError> {
        if self.options.skip_entitlements_and_grants {
            return Ok(());
        }
        // Of a team, an entitlement holds its name.
        let resource = Resource {
            display_name: name.to_owned(),
            ..Resource::default()
        };
        for role in Role::ALL {
            let entitlement = rows::entitlement(&resource, EntitlementId { team, role });
            self.sink.write(Row::Entitlement(&entitlement))?;
            self.counts.entitlements += 1;
        }
        Ok(())
    }

    fn grants(&mut self, team: TeamId, holders: &[TeamGrant]) -> Result<(), ExportError> {
        for holder in holders {
            self.sink.write(Row::Grant(&rows::grant(team, holder)))?;
        }
        self.counts.grants += holders.len();
        Ok(())
    }
}

/// Reads whole lists, page by page, as one sync with an id of its own: what it will read next is read ahead, on the lane of
/// syncs. Dropping it ends the sync.
#[derive(Debug)]
pub struct Reader<'a> {
    access: &'a Governance,
    progress: &'a Progress,
    id: String,
    call: CallContext,
}

impl<'a> Reader<'a> {
    /// Begins a sync.
    #[must_use]
    pub fn begin(access: &'a Governance, progress: &'a Progress) -> Self {
        Self {
            access,
            progress,
            id: new_sync_id(),
            call: CallContext::new(Lane::Sync),
        }
    }

    /// Hands every user to `each`, once.
    ///
    /// # Errors
    /// What keeps the list from being read whole, or the failure of `each`.
    pub async fn users(
        &mut self,
        mut each: impl FnMut(OrganizationMember) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.progress.begin(Stage::Users);
        let (mut token, mut known) = (String::new(), HashSet::new());
        loop {
            let Page { rows, next } = self.access.users(&token, None, &self.id, &self.call).await?;
            self.progress.read(rows.len());
            // A list that moves while it is read may repeat a row.
            rows.into_iter()
                .filter(|user| known.insert(user.id))
                .try_for_each(&mut each)?;
            if next.is_empty() {
                return Ok(());
            }
            token = next;
        }
    }

    /// Hands every team to `each`, once.
    ///
    /// # Errors
    /// As for users, and where the token's owner is shown only part of the teams.
    pub async fn teams(&mut self, mut each: impl FnMut(Team) -> Result<(), ExportError>) -> Result<(), ExportError> {
        self.progress.begin(Stage::Teams);
        let (mut token, mut known) = (String::new(), HashSet::new());
        loop {
            let Page { rows, next } = self.access.teams(&token, None, &self.id, &self.call).await?;
            self.progress.read(rows.len());
            rows.into_iter()
                .filter(|team| known.insert(team.id))
                .try_for_each(&mut each)?;
            if next.is_empty() {
                return Ok(());
            }
            token = next;
        }
    }

    /// Who holds what in a team, while the teams that follow it in the list are read ahead.
    ///
    /// # Errors
    /// What keeps the list from being read whole.
    pub async fn holders(&mut self, team: TeamId) -> Result<Vec<TeamGrant>, ExportError> {
        let holders = self.all_holders(team, &self.id).await?;
        self.progress.team_read();
        Ok(holders)
    }

    /// Who holds what in a team that is the only one: nothing is read ahead.
    ///
    /// # Errors
    /// What keeps the list from being read whole.
    pub async fn holders_of_one(&self, team: TeamId) -> Result<Vec<TeamGrant>, ExportError> {
        self.all_holders(team, "").await
    }

    /// A whole team at a time: of two rows about one user, on whatever pages, the later one is what holds now.
    async fn all_holders(&self, team: TeamId, sync: &str) -> Result<Vec<TeamGrant>, ExportError> {
        let Page { mut rows, next } = self.access.grants(team, "", None, sync, &self.call).await?;
        self.progress.read(rows.len());
        if next.is_empty() {
            return Ok(rows);
        }
        let mut at: HashMap<_, _> = rows.iter().map(|holder| holder.user).zip(0_usize..).collect();
        let mut token = next;
        while !token.is_empty() {
            let page = self.access.grants(team, &token, None, sync, &self.call).await?;
            self.progress.read(page.rows.len());
            for holder in page.rows {
                if let Some(earlier) = at.get(&holder.user).and_then(|at| rows.get_mut(*at)) {
                    *earlier = holder;
                } else {
                    at.insert(holder.user, rows.len());
                    rows.push(holder);
                }
            }
            token = page.next;
        }
        Ok(rows)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.access.end_sync(&self.id);
    }
}

/// An id that no other sync has, and that sorts by time.
pub(super) fn new_sync_id() -> String {
    Ksuid::from_seconds(None, None).to_string()
}
