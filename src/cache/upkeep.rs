//! What is done beside the requests, from time to time: names and records that can't be told any more leave, and what
//! nobody asks for takes less room.

use std::{sync::Arc, time::Duration};

use super::{
    Cache, Weigh,
    freshness::{Freshness, Provenance},
    record::Record,
    store::Op,
};
use crate::domain::Part;

/// For how long what is too old for anything is kept all the same, at least.
pub(super) const DEAD_FOR: Duration = Duration::from_secs(5 * 60);

impl<R, E> Cache<R, E>
where
    R: Weigh + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Sweeps out the names of contacts that were purged, if there are any. Looks at every name: not on a request's way.
    pub fn sweep_leavers(&self) {
        self.leavers
            .sweep(|gone| self.names.retain(|_, held| !gone.contains(&held.name.id)));
    }

    /// Looks after everything that nobody asked for since it last did: frees what is too old for anything, and the
    /// rendered answers of the rest, which are rendered again when somebody asks. Not on a request's way.
    pub fn look_after(&self) {
        // For a while who asks is still told that there was something, but too old.
        let now = self.clock.tick() - DEAD_FOR;
        let is_dead =
            |provenance: &Provenance| provenance.freshness(now, &self.policy) == Freshness::Dead;
        self.records.look_after(|record| {
            let mut held = Part::ALL
                .into_iter()
                .filter_map(|part| record.parts.provenance(part));
            if held.all(is_dead) {
                Op::Remove
            } else if record.rendered().next().is_some() {
                Op::Put(Arc::new(Record::new(record.id, record.parts.clone())))
            } else {
                Op::Nop
            }
        });
        self.names.look_after(|held| {
            if held.name.freshness(now, &self.policy) == Freshness::Dead {
                Op::Remove
            } else {
                Op::Nop
            }
        });
    }
}
