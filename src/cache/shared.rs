//! Stores in this replica's memory what another replica fetched. It gets the sequence number of the moment when it was
//! read from the shared tier, and the same rules apply as for what this replica fetches itself.

use std::time::Duration;

use super::{
    Alias, Answer, Cache, FetchStart,
    freshness::{FetchSource, Provenance},
    parts::{Origins, Parts},
    provenance,
};
use crate::{
    clock::Tick,
    domain::{ContactId, Lookup, LookupKey, PartMap, PartSet},
};

impl<R, E> Cache<R, E>
where
    R: Answer,
    E: Clone + Send + Sync + 'static,
{
    /// The ages of the contact's cached parts that are to be replaced: they expire soon, or are as old as `max_age`. A
    /// sweep does not count it as a read.
    pub fn outdated(
        &self,
        id: ContactId,
        max_age: Duration,
        now: Tick,
    ) -> PartMap<Option<Duration>> {
        let record = self.glance(id);
        PartMap::from_fn(|part| {
            let provenance = record.as_ref()?.provenance(part)?;
            let age = provenance.age(now);
            (age >= max_age || provenance.expires_soon(now, &self.policy)).then_some(age)
        })
    }

    /// Returns first the parts that this replica may share, which are those that no fence forbids, and second the parts
    /// of which an entity endpoint returned something new. In `parts`, data that equals the cached data takes over its
    /// [`Provenance::differed_at`].
    pub fn parts_to_share(
        &self,
        id: ContactId,
        parts: &mut Parts,
        requested: Option<&Lookup>,
    ) -> (Parts, PartSet) {
        let cached = self.glance(id);
        let cached = cached.and_then(|cached| self.parts_of(&cached));
        let new = self.new_parts(parts, &cached.unwrap_or_default());
        let mut allowed = parts.clone();
        self.drop_fenced(id, &mut allowed, requested);
        (allowed, new)
    }

    /// Stores parts that another replica fetched, and notes for how long entity endpoints alone may fill each. Returns
    /// the parts that no fence forbids.
    pub fn store_shared_parts(
        &self,
        id: ContactId,
        parts: Parts,
        entity_only: &PartMap<Duration>,
        requested: Option<&Lookup>,
    ) -> Parts {
        let now = self.clock.tick();
        // An overview can't replace what an entity endpoint returned within the lag, so none may be called for it. The
        // time is computed here too, because the tier lacks it if it was unreachable when the data was new.
        let entity_only = PartMap::from_fn(|part| {
            let provenance = parts
                .provenance(part)
                .filter(|_| self.policy.overview_parts.contains(part));
            let differed_at = provenance.and_then(|provenance| provenance.differed_at);
            let left = differed_at.map(|at| (at + self.policy.overview_lag).since(now));
            entity_only[part].max(left.unwrap_or_default())
        });
        self.fences.entity_only_for(id, &entity_only, now);
        self.store_parts(id, parts, requested)
    }

    /// Stores an alias that another replica resolved. Returns it unless a fence, or what this replica knows, forbids it.
    pub fn store_shared_alias(
        &self,
        key: &LookupKey,
        id: ContactId,
        found: Provenance,
        confirmed: bool,
    ) -> Option<Alias> {
        let lifetime = found.lifetime.min(self.alias_lifetime(confirmed));
        let alias = Alias::found(id, Provenance { lifetime, ..found }, confirmed);
        self.place_alias(key, alias, true).then_some(alias)
    }

    /// Remembers, for the rest of the entry's lifetime, that another replica found that the identifier leads to no
    /// contact. `false` where a fence, or what this replica knows, forbids it.
    pub fn store_shared_negative(
        &self,
        key: &LookupKey,
        start: FetchStart,
        source: FetchSource,
        requested_at: Tick,
        why: E,
    ) -> bool {
        let found = Provenance {
            requested_at,
            is_shared: true,
            ..provenance(start, self.policy.negative_lifetime, source)
        };
        let lags =
            source == FetchSource::Overview && self.fences.alias_is_entity_only(key, requested_at);
        !lags && self.place_negative(key, &found, why)
    }
}
