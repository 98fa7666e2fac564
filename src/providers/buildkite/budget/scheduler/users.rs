//! Which buckets are one: users become known from responses, and connections that turn out to share a bucket are scheduled together.

use std::sync::Arc;

use tokio::time::Instant;

use super::Scheduler;
use crate::governance::rate_limit::Bucket;
use crate::providers::buildkite::budget::bucket::BucketTracker;
use crate::providers::buildkite::budget::connection::{BucketId, Connection};

impl Scheduler {
    /// A credential belongs to the user whom `identities` name. Its requests are counted in that user's bucket from now on.
    /// `next_id` is the id of a new bucket, if one is needed.
    pub(crate) fn learn(
        &mut self,
        connection: u64,
        credential: usize,
        identities: &[Arc<str>],
        now: Instant,
        next_id: impl FnOnce() -> BucketId,
    ) {
        let Some(owner) = self.connections.get(&connection) else {
            return;
        };
        let Some(before) = owner.credentials.get(credential).map(|credential| credential.user) else {
            return;
        };
        let options = owner.options;
        let of = |identity: &Arc<str>| self.users.get(identity).copied();
        let known: Vec<BucketId> = identities.iter().filter_map(of).collect();
        if known.len() == identities.len() && known.iter().all(|user| *user == before) {
            return;
        }
        let is_named = self.users.values().any(|named| *named == before);
        let user = match known.first().copied() {
            Some(user) => user,
            None if !is_named => before,
            // The credential was replaced by one of another user.
            None => next_id(),
        };
        if user != before {
            // A bucket without a name is that of this credential alone, so it was this user's all along.
            let same = if is_named { None } else { self.buckets.remove(&before) };
            let bucket = self
                .buckets
                .entry(user)
                .or_insert_with(|| BucketTracker::new(Bucket::User, options));
            bucket.share(options);
            if let Some(same) = same {
                bucket.absorb(same, now);
                self.replace(before, user);
            }
        }
        for identity in identities {
            self.users.insert(Arc::clone(identity), user);
        }
        for same in known {
            self.unite(user, same, now);
        }
        let owner = self.connections.get_mut(&connection);
        if let Some(credential) = owner.and_then(|owner| owner.credentials.get_mut(credential)) {
            credential.user = user;
        }
        self.drop_unused_buckets();
    }

    /// The buckets of the users of a connection's credentials, by position.
    pub(crate) fn users_of(&self, connection: u64) -> Vec<BucketId> {
        let connection = self.connections.get(&connection);
        connection.map_or_else(Vec::new, |connection| {
            connection
                .credentials
                .iter()
                .map(|credential| credential.user)
                .collect()
        })
    }

    /// Takes over all connections of `other`, which share a bucket with those of this scheduler.
    pub(crate) fn absorb(&mut self, other: Self, now: Instant) {
        // Sequence numbers have to increase for each bucket.
        self.sent = self.sent.max(other.sent);
        self.connections.extend(other.connections);
        self.replaced.extend(other.replaced);
        self.buckets.extend(other.buckets);
        for (name, bucket) in other.organizations {
            self.organizations.entry(name).or_insert(bucket);
        }
        for (identity, bucket) in other.users {
            let bucket = self.current(bucket);
            let named = *self.users.entry(identity).or_insert(bucket);
            self.unite(self.current(named), bucket, now);
        }
    }

    /// Makes one bucket of two that are the same user's.
    fn unite(&mut self, bucket: BucketId, same: BucketId, now: Instant) {
        if bucket == same {
            return;
        }
        let Some(absorbed) = self.buckets.remove(&same) else {
            return;
        };
        if let Some(bucket) = self.buckets.get_mut(&bucket) {
            bucket.absorb(absorbed, now);
        }
        self.replace(same, bucket);
        for user in self.users.values_mut().filter(|user| **user == same) {
            *user = bucket;
        }
        let credentials = self
            .connections
            .values_mut()
            .flat_map(|connection| &mut connection.credentials);
        for credential in credentials.filter(|credential| credential.user == same) {
            credential.user = bucket;
        }
    }

    /// Requests in flight for `same`, and for the buckets that it replaced, are settled in `bucket`.
    fn replace(&mut self, same: BucketId, bucket: BucketId) {
        for by in self.replaced.values_mut().filter(|by| **by == same) {
            *by = bucket;
        }
        self.replaced.insert(same, bucket);
    }

    /// The bucket that a request is settled in which was sent for `bucket`.
    pub(super) fn current(&self, bucket: BucketId) -> BucketId {
        let mut current = bucket;
        while let Some(by) = self.replaced.get(&current) {
            current = *by;
        }
        current
    }

    /// Drops the buckets that no credential and no connection uses, and from the others the options of connections that
    /// use them no longer.
    pub(super) fn drop_unused_buckets(&mut self) {
        let used: Vec<BucketId> = self.connections.values().flat_map(Connection::buckets).collect();
        self.buckets.retain(|id, _| used.contains(id));
        for (id, bucket) in &mut self.buckets {
            let users = self.connections.values().filter(|connection| connection.uses(*id));
            bucket.share_among(users.map(|connection| connection.options));
        }
        self.organizations.retain(|_, bucket| used.contains(bucket));
        self.users.retain(|_, bucket| used.contains(bucket));
        self.replaced.retain(|_, by| used.contains(by));
    }
}
