//! Why a customer was served as it was, part by part, for operators who ask later. No value of the contact is kept.

use std::time::Duration;

use crate::{
    cache::freshness::FetchSource,
    domain::{PartMap, listed_enum::listed_enum},
};

/// The reason for each requested part of a response; `None` for the parts that were not requested.
pub type Reasons = PartMap<Option<PartReason>>;

/// Where one part of a response came from, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct PartReason {
    /// Where the part came from.
    pub outcome: PartOutcome,
    /// The age of the data that was served.
    pub age: Option<Duration>,
    /// The kind of endpoint that it came from.
    pub source: Option<FetchSource>,
    /// Why memory did not serve it as fresh.
    pub why: Option<Why>,
    /// The error of the call for it, as in the log.
    pub failure: Option<Box<str>>,
    /// Whether the response lists it in `degraded`.
    pub is_degraded: bool,
}

listed_enum! {
    /// Where a part of a response came from; the label of its metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u8)]
    pub enum PartOutcome {
        /// From memory, within its lifetime.
        Fresh => "fresh",
        /// From memory, beyond its lifetime, while it is refreshed.
        Stale => "stale",
        /// From the tier that replicas share.
        Shared => "shared",
        /// From Engage: a call was made for this response, or joined.
        Fetched => "fetched",
        /// From memory, although it is too old, because Engage fails.
        StaleIfError => "stale_if_error",
        /// From memory, although it is too old, because Engage is slow.
        StaleIfSlow => "stale_if_slow",
        /// From nowhere: the response has `null`.
        Missing => "missing",
    }
}

listed_enum! {
    /// Why memory did not serve a part as fresh.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Why {
        /// The part was not cached.
        NotCached => "not cached",
        /// The identifier led to no cached contact.
        IdentifierNotCached => "identifier not cached",
        /// An invalidation or a purge forbids what was fetched before it.
        Invalidated => "invalidated",
        /// The lifetime had ended.
        Expired => "expired",
        /// Lifetimes are shortened while changes may go unreported.
        LifetimeShortened => "lifetime shortened",
        /// The caller requested it fresh.
        RequestedFresh => "requested fresh",
        /// It was older than the caller's `max-age`.
        TooOldForCaller => "older than max-age",
        /// An operator had switched the cache off.
        CacheOff => "cache off",
        /// The identifier had to be resolved again, and the call returned the part too.
        IdentifierResolved => "identifier resolved again",
    }
}
