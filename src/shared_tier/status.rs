//! The state of the tier for operators: readiness detail and gauges.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::Inner;
use crate::metrics::catalogue::shared_tier::{
    SHARED_TIER_AVAILABLE, SHARED_TIER_CAUGHT_UP, SHARED_TIER_REPLICAS,
};

/// The state of the tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierStatus {
    /// `connected`, `changing epoch`, `catching up`, or why it is unavailable: `connecting`, `timeout`, `unreachable`,
    /// `wrong key`, …
    pub state: &'static str,
    /// Whether operations are tried.
    pub is_available: bool,
    /// How long ago it became available, or unavailable.
    pub since: Duration,
    /// The last round trip to the server.
    pub round_trip: Option<Duration>,
    /// The exponential average of round trips.
    pub average_round_trip: Option<Duration>,
    /// How long ago this replica entered the current epoch.
    pub epoch_age: Option<Duration>,
    /// The age of the state of the stream that has been applied. `None` before it has caught up once.
    pub stream_age: Option<Duration>,
    /// How often invalidations may have been missed, so that memory was dropped.
    pub gaps: u64,
    /// How many replicas there are, this one included, as far as is known.
    pub replicas: u32,
}

impl Inner {
    pub(super) fn status(&self) -> TierStatus {
        let now = self.clock.tick();
        let guard = self.guard.status();
        TierStatus {
            state: guard.state,
            is_available: guard.is_usable,
            since: now.since(guard.since),
            round_trip: guard.round_trips.map(|(last, _)| last),
            average_round_trip: guard.round_trips.map(|(_, average)| average),
            epoch_age: guard.epoch_since.map(|since| now.since(since)),
            stream_age: self.progress.caught_up().map(|tick| now.since(tick)),
            gaps: self.progress.gaps(),
            replicas: self.budget.replicas(),
        }
    }
}

/// The gauges, read at the scrape.
pub(super) struct Gauges(pub(super) Arc<Inner>);

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let status = self.0.status();
        let is_available = u64::from(status.is_available);
        SHARED_TIER_AVAILABLE.write_value(&mut encoder, is_available)?;
        SHARED_TIER_REPLICAS.write_value(&mut encoder, status.replicas)?;
        if let Some(age) = status.stream_age {
            SHARED_TIER_CAUGHT_UP.write_value(&mut encoder, age.as_secs_f64())?;
        }
        Ok(())
    }
}
