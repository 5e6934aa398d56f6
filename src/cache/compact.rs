//! A provenance in two thirds of its bytes: the index has several for each contact.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    fence::Sequence,
    freshness::{FetchSource, Provenance},
};
use crate::clock::Tick;

/// A [`Provenance`] without padding. It loses nothing, except that lifetimes are at most 136 years.
#[derive(Clone, Copy, Debug)]
pub(super) struct CompactProvenance {
    pub(super) sequence: Sequence,
    requested_at: Tick,
    /// [`Tick::END`] stands for none.
    differed_at: Tick,
    as_of_seconds: i64,
    as_of_nanos: i32,
    lifetime_seconds: u32,
    lifetime_nanos: u32,
    source: FetchSource,
    is_shared: bool,
}

impl From<Provenance> for CompactProvenance {
    fn from(of: Provenance) -> Self {
        Self {
            sequence: of.sequence,
            requested_at: of.requested_at,
            differed_at: of.differed_at.unwrap_or(Tick::END),
            as_of_seconds: of.as_of.as_second(),
            as_of_nanos: of.as_of.subsec_nanosecond(),
            lifetime_seconds: u32::try_from(of.lifetime.as_secs()).unwrap_or(u32::MAX),
            lifetime_nanos: of.lifetime.subsec_nanos(),
            source: of.source,
            is_shared: of.is_shared,
        }
    }
}

impl From<CompactProvenance> for Provenance {
    fn from(of: CompactProvenance) -> Self {
        Self {
            sequence: of.sequence,
            requested_at: of.requested_at,
            as_of: Timestamp::new(of.as_of_seconds, of.as_of_nanos)
                .expect("it was a timestamp before"),
            lifetime: Duration::new(of.lifetime_seconds.into(), of.lifetime_nanos),
            source: of.source,
            differed_at: Some(of.differed_at).filter(|at| *at != Tick::END),
            is_shared: of.is_shared,
        }
    }
}
