//! The rate at which a client or a shopper may report changes. Each report costs a fence, an entry in the stream of
//! replicas, and up to four calls when the contact is requested next: the rate bounds what a stolen key can do.

use std::sync::{Mutex, PoisonError};

use super::refusal::AuthRefusal;
use crate::{clock::Tick, rate::Bucket};

/// So many seconds' worth of reports may come at once.
const BURST: u32 = 10;

/// Limits the reports of one client or shopper.
pub(super) struct ChangeLimit {
    rate: u32,
    bucket: Mutex<Bucket>,
}

impl ChangeLimit {
    /// A limit of `rate` reports a second.
    pub(super) fn new(rate: u32, now: Tick) -> Self {
        let burst = rate.saturating_mul(BURST);
        Self {
            rate,
            bucket: Mutex::new(Bucket::new(f64::from(rate), burst, now)),
        }
    }

    /// The reports a second.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Counts a report.
    pub(super) fn admit(&self, now: Tick) -> Result<(), AuthRefusal> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = bucket.take(now);
        taken.map_err(|retry_after| AuthRefusal::TooManyChanges {
            rate: self.rate,
            retry_after,
        })
    }
}
