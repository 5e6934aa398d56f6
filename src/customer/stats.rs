//! The current size of everything that has a bound.

use super::CustomerService;
use crate::cache::Counts;

/// The current size of everything that has a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// What is cached.
    pub counts: Counts,
    /// How many bytes the cache may occupy.
    pub max_bytes: u64,
    /// The share of these bytes that records may occupy.
    pub records_max_bytes: u64,
    /// Contacts with a fence.
    pub fenced_contacts: usize,
    /// Aliases with a fence.
    pub fenced_aliases: usize,
    /// Shared calls of the overview, running or waiting.
    pub overviews: usize,
    /// Shared calls that resolve an alias.
    pub resolutions: usize,
    /// Shared calls of entity endpoints.
    pub parts: usize,
    /// Shared calls for contacts' histories.
    pub histories: usize,
}

impl CustomerService {
    /// What the cache contains.
    pub fn counts(&self) -> Counts {
        self.inner.tiers.memory.counts()
    }

    /// The current size of everything that has a bound.
    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let memory = &inner.tiers.memory;
        let (fenced_contacts, fenced_aliases) = memory.fences.counts();
        Stats {
            counts: memory.counts(),
            max_bytes: memory.max_bytes(),
            records_max_bytes: memory.records_max_bytes(),
            fenced_contacts,
            fenced_aliases,
            overviews: inner.overviews.in_flight(),
            resolutions: inner.resolutions.in_flight(),
            parts: inner.parts.in_flight(),
            histories: inner.histories.in_flight(),
        }
    }
}
