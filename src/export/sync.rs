//! One sync: all rows of the organization, in the order of the Baton SDK's syncer.

use std::collections::{HashMap, HashSet};

use svix_ksuid::{Ksuid, KsuidLike};

use super::{ExportError, Progress, Row, Sink, Stage};
use crate::governance::model::{Catalog, EntitlementId, Grant, Resource, ResourceId, ResourceKind, ResourceTypeInfo};
use crate::governance::{CallContext, Governance, GovernanceError, Lane, Page};
use crate::proto::c1::connector::v2 as proto;
use crate::wire::rows;

/// The scope of a sync; by default everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncOptions {
    /// Only resources of these types, and only grants to principals of these types; `None` for all types.
    pub types: Option<Vec<&'static ResourceTypeInfo>>,
    /// Only these resources, each with its entitlements and grants; empty for all.
    pub targets: Vec<ResourceId>,
    /// Leave grants out.
    pub skip_grants: bool,
    /// Leave entitlements and grants out.
    pub skip_entitlements_and_grants: bool,
}

/// The completeness of a run.
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
    /// The run type's name in a c1z.
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
    /// The type of a run with these options.
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

    fn includes(&self, resource_type: &ResourceTypeInfo) -> bool {
        let types = self.types.as_ref();
        types.is_none_or(|types| types.contains(&resource_type))
    }

    /// Whether grants are read: not if no principal type is included.
    fn reads_grants(&self, catalog: &Catalog) -> bool {
        let mut principals = catalog.of_kind(ResourceKind::User);
        !self.skip_grants && !self.skip_entitlements_and_grants && principals.any(|principal| self.includes(principal))
    }
}

/// The number of rows of each kind in a sync.
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

impl Counts {
    fn add(&mut self, resource: ResourceId) {
        match resource.resource_type.kind {
            ResourceKind::User => self.users += 1,
            ResourceKind::Group => self.teams += 1,
            ResourceKind::Object | ResourceKind::PendingUser => {}
        }
    }
}

/// Reads the organization and passes every row to `sink`, once and as soon as it is known.
///
/// # Errors
/// The failure to read the complete organization, or the failure of the sink. The rows so far must then be discarded.
pub async fn sync(
    governance: &Governance,
    options: &SyncOptions,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Counts, ExportError> {
    let catalog = governance.listings().catalog();
    for resource_type in catalog.types().iter().filter(|known| options.includes(known)) {
        sink.write(Row::ResourceType(&rows::resource_type(resource_type)))?;
    }
    let mut run = Run {
        reader: Reader::begin(governance, progress),
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

/// A sync in progress.
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
        let catalog = reader.governance.listings().catalog();
        let mut with_grants = Vec::new();
        for resource_type in catalog.types().iter().filter(|known| options.includes(known)) {
            let each = |resource: Resource| {
                let id = resource.id;
                let row = rows::resource(resource);
                sink.write(Row::Resource(&row))?;
                counts.add(id);
                if resource_type.has_grants() {
                    with_grants.push((id, row.display_name));
                }
                Ok(())
            };
            reader.resources(resource_type, each).await?;
        }
        for (resource, name) in &with_grants {
            self.entitlements(*resource, name)?;
        }
        if self.options.reads_grants(catalog) {
            self.reader.progress.begin(Stage::Members);
            self.reader.progress.expect(with_grants.len());
            for (resource, _) in with_grants {
                let grants = self.reader.grants(resource).await?;
                self.grants(&grants)?;
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
                // The target is proven absent. The Baton SDK's syncer skips such a target too.
                Err(ExportError::Read(error @ GovernanceError::ResourceNotFound { .. })) => {
                    tracing::warn!("sync: {error}; this resource is left out");
                }
                done => done?,
            }
            self.reader.progress.team_read();
        }
        Ok(())
    }

    async fn target(&mut self, target: ResourceId) -> Result<(), ExportError> {
        if !self.options.includes(target.resource_type) {
            return Ok(());
        }
        let Reader { governance, call, .. } = &self.reader;
        let listings = governance.listings();
        let resource = rows::resource(listings.resource(target, call).await?);
        // Read the grants before the resource is written: a resource that is deleted in between is left out completely.
        let grants = if target.resource_type.has_grants() && self.options.reads_grants(listings.catalog()) {
            self.reader.grants_of_one(target).await?
        } else {
            vec![]
        };
        self.sink.write(Row::Resource(&resource))?;
        self.counts.add(target);
        self.entitlements(target, &resource.display_name)?;
        self.grants(&grants)
    }

    fn entitlements(&mut self, resource: ResourceId, name: &str) -> Result<(), ExportError> {
        if self.options.skip_entitlements_and_grants {
            return Ok(());
        }
        // An entitlement contains the name of its resource.
        let named = proto::Resource {
            display_name: name.to_owned(),
            ..proto::Resource::default()
        };
        let catalog = self.reader.governance.listings().catalog();
        for level in resource.resource_type.levels {
            let id = EntitlementId { resource, level };
            let entitlement = rows::entitlement(&named, id, catalog.principals_of(resource.resource_type));
            self.sink.write(Row::Entitlement(&entitlement))?;
            self.counts.entitlements += 1;
        }
        Ok(())
    }

    fn grants(&mut self, grants: &[Grant]) -> Result<(), ExportError> {
        for grant in grants {
            self.sink.write(Row::Grant(&rows::grant(grant)))?;
        }
        self.counts.grants += grants.len();
        Ok(())
    }
}

/// Reads complete lists, page by page, as one sync with its own id, on the lane of syncs. The lists that follow are prefetched.
/// Dropping it ends the sync.
#[derive(Debug)]
pub struct Reader<'a> {
    governance: &'a Governance,
    progress: &'a Progress,
    id: String,
    call: CallContext,
}

impl<'a> Reader<'a> {
    /// Begins a sync.
    #[must_use]
    pub fn begin(governance: &'a Governance, progress: &'a Progress) -> Self {
        Self {
            governance,
            progress,
            id: new_sync_id(),
            call: CallContext::new(Lane::Sync),
        }
    }

    /// Passes every resource of a type to `each`, once.
    ///
    /// # Errors
    /// The failure to read the complete list, or the failure of `each`.
    pub async fn resources(
        &mut self,
        resource_type: &'static ResourceTypeInfo,
        mut each: impl FnMut(Resource) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        self.progress.begin(match resource_type.kind {
            ResourceKind::User => Stage::Users,
            ResourceKind::Group | ResourceKind::Object | ResourceKind::PendingUser => Stage::Teams,
        });
        let (mut token, mut known) = (String::new(), HashSet::new());
        loop {
            let listings = self.governance.listings();
            let page = listings.resources(resource_type, &token, None, &self.id, &self.call);
            let Page { rows, next } = page.await?;
            self.progress.read(rows.len());
            // A list that changes while it is read can repeat a row.
            rows.into_iter()
                .filter(|resource| known.insert(resource.id.id))
                .try_for_each(&mut each)?;
            if next.is_empty() {
                return Ok(());
            }
            token = next;
        }
    }

    /// The grants of a resource. The grants of the resources that follow it in the list are prefetched.
    ///
    /// # Errors
    /// The failure to read the complete list.
    pub async fn grants(&mut self, resource: ResourceId) -> Result<Vec<Grant>, ExportError> {
        let grants = self.all_grants(resource, &self.id).await?;
        self.progress.team_read();
        Ok(grants)
    }

    /// The grants of a resource, without prefetching those of others.
    ///
    /// # Errors
    /// The failure to read the complete list.
    pub async fn grants_of_one(&self, resource: ResourceId) -> Result<Vec<Grant>, ExportError> {
        self.all_grants(resource, "").await
    }

    /// Reads all grants of a resource. If two rows are about one principal, on any pages, the later one is current.
    async fn all_grants(&self, resource: ResourceId, sync: &str) -> Result<Vec<Grant>, ExportError> {
        let listings = self.governance.listings();
        let Page { mut rows, next } = listings.grants(resource, "", None, sync, &self.call).await?;
        self.progress.read(rows.len());
        if next.is_empty() {
            return Ok(rows);
        }
        let principals = rows.iter().map(|grant| grant.id.principal.id);
        let mut at: HashMap<_, _> = principals.zip(0_usize..).collect();
        let mut token = next;
        while !token.is_empty() {
            let page = listings.grants(resource, &token, None, sync, &self.call).await?;
            self.progress.read(page.rows.len());
            for grant in page.rows {
                let principal = grant.id.principal.id;
                if let Some(earlier) = at.get(&principal).and_then(|at| rows.get_mut(*at)) {
                    *earlier = grant;
                } else {
                    at.insert(principal, rows.len());
                    rows.push(grant);
                }
            }
            token = page.next;
        }
        Ok(rows)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.governance.listings().end_sync(&self.id);
    }
}

/// An id that no other sync has, and that sorts by time.
pub(super) fn new_sync_id() -> String {
    Ksuid::from_seconds(None, None).to_string()
}
