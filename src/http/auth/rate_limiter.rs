//! The rates at which a client or a shopper may send requests, and report changes. Each report costs a fence, an entry
//! in the stream of replicas, and up to four calls when the contact is requested next: the rate of reports bounds the
//! damage that a stolen key can do.

use std::sync::{Mutex, PoisonError};

use super::{super::error::RateLimit, refusal::AuthRefusal};
use crate::{clock::Tick, rate::Bucket};

/// The burst of reports, as a multiple of the rate per second.
const BURST_OF_CHANGES: u32 = 10;

/// Limits the requests or reports of one client or shopper.
pub(super) struct RateLimiter {
    limit: RateLimit,
    rate: u32,
    bucket: Mutex<Bucket>,
}

impl RateLimiter {
    /// A limit of `rate` a second.
    pub(super) fn new(limit: RateLimit, rate: u32, now: Tick) -> Self {
        let burst = match limit {
            RateLimit::Requests => rate,
            RateLimit::Changes => rate.saturating_mul(BURST_OF_CHANGES),
        };
        Self {
            limit,
            rate,
            bucket: Mutex::new(Bucket::new(f64::from(rate), burst, now)),
        }
    }

    /// How many requests or reports a second the limit allows.
    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Counts a request or report.
    pub(super) fn admit(&self, now: Tick) -> Result<(), AuthRefusal> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = bucket.take(now);
        taken.map_err(|retry_after| AuthRefusal::RateLimited {
            limit: self.limit,
            rate: self.rate,
            retry_after,
        })
    }
}
