//! Finds the reasons for a response, part by part. A plain hit needs no explanation, so nothing is computed for it.

use std::sync::Arc;

use super::{FirstRead, Ready, Search};
use crate::{
    cache::{
        freshness::{Freshness, Provenance},
        parts::Origins,
    },
    clock::Tick,
    customer::{
        Error,
        found::{CacheStatus, Found},
        reasons::{PartOutcome, PartReason, Reasons, Why},
    },
    domain::{Part, PartSet},
};

impl Search<'_> {
    /// The response with its reasons, unless it is a plain hit: from memory, within every lifetime, and as complete as
    /// the cached record.
    pub(super) fn with_reasons(&self, mut found: Found, ready: &Ready) -> Found {
        let lacks_more = !found.degraded.is_subset(ready.record.incomplete());
        let is_plain = found.verdict.status == CacheStatus::Hit
            && ready.plan.refresh.is_empty()
            && !lacks_more;
        if !is_plain {
            found.reasons = Some(Arc::new(self.reasons(&found, ready)));
        }
        found
    }

    fn reasons(&self, found: &Found, ready: &Ready) -> Reasons {
        Reasons::from_fn(|part| {
            let is_requested = self.query.requested.contains(part);
            is_requested.then(|| self.reason(part, found, ready))
        })
    }

    fn reason(&self, part: Part, found: &Found, ready: &Ready) -> PartReason {
        let served = ready.record.provenance(part);
        let served = served.filter(|_| found.shown.contains(part));
        let outcome = found.outcomes[part].unwrap_or(PartOutcome::Missing);
        PartReason {
            outcome,
            age: served.map(|served| served.age(ready.now)),
            source: served.map(|served| served.source),
            why: (outcome != PartOutcome::Fresh).then(|| self.why(part, ready)),
            failure: self.failure_of(part),
            is_degraded: found.degraded.contains(part),
        }
    }

    /// Why the data that was cached when the request arrived was not enough.
    fn why(&self, part: Part, ready: &Ready) -> Why {
        let memory = &self.inner.tiers.memory;
        let now = self.query.now.tick;
        if !memory.is_on() {
            return Why::CacheOff;
        }
        if self.query.fresh.contains(part) {
            return Why::RequestedFresh;
        }
        if matches!(self.first_read, FirstRead::NoContact) {
            return Why::IdentifierNotCached;
        }
        let first_read = self.first_read.record();
        let Some(cached) = first_read.and_then(|record| record.provenance(part)) else {
            let fences = memory.fences.status(ready.record.id, ready.now);
            let is_raised = fences
                .iter()
                .any(|fence| fence.part == part && fence.is_raised);
            return if is_raised {
                Why::Invalidated
            } else {
                Why::NotCached
            };
        };
        if self.query.is_too_old(cached, now) {
            return Why::TooOldForCaller;
        }
        self.why_unfresh(cached, now.max(ready.now))
    }

    fn why_unfresh(&self, cached: &Provenance, now: Tick) -> Why {
        let policy = &self.inner.tiers.memory.policy;
        match cached.freshness(now, policy) {
            Freshness::Fresh => Why::IdentifierResolved,
            _ if cached.age(now) < cached.lifetime => Why::LifetimeShortened,
            Freshness::Stale | Freshness::Expired | Freshness::Dead => Why::Expired,
        }
    }

    /// Records that calls for these parts failed. An empty set stands for the call that resolves the identifier, which
    /// concerns all parts.
    pub(super) fn keep_failure(&mut self, parts: PartSet, error: &Error) {
        self.failures.push((parts, error.to_string().into()));
    }

    fn failure_of(&self, part: Part) -> Option<Box<str>> {
        let is_about = |parts: PartSet| parts.is_empty() || parts.contains(part);
        let failures = self.failures.iter();
        let mut texts = failures.filter(|(parts, _)| is_about(*parts));
        texts.next_back().map(|(_, text)| text.clone())
    }
}
