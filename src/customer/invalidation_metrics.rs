//! Metrics of invalidations.

use crate::{
    domain::listed_enum::listed_enum,
    metrics::{Counter, Counters, Registry, Source, catalogue::cache::CACHE_INVALIDATIONS},
};

listed_enum! {
    /// What caused an invalidation: the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) enum InvalidationCause {
        /// A delivery of Engage's webhooks.
        Webhook => "webhook",
        /// An operator.
        Purge => "purge",
        /// A caller that reported a change.
        Report => "report",
        /// Engage's list of changes.
        Poll => "poll",
        /// Another replica's announcement.
        Stream => "stream",
    }
}

/// Counts invalidations by their cause.
#[derive(Debug)]
pub(super) struct InvalidationMetrics {
    all: Counters,
    of: [Counter; InvalidationCause::COUNT],
}

impl Default for InvalidationMetrics {
    fn default() -> Self {
        let all = Counters::new(&CACHE_INVALIDATIONS);
        Self {
            of: all.each(&[], InvalidationCause::ALL.map(InvalidationCause::as_str)),
            all,
        }
    }
}

impl Source for InvalidationMetrics {
    fn register(&self, registry: &mut Registry) {
        registry.add(self.all.clone());
    }
}

impl InvalidationMetrics {
    /// Adds `number` invalidations with this cause.
    pub(super) fn count(&self, cause: InvalidationCause, number: usize) {
        self.of[cause as usize].inc_by(number as u64);
    }
}
