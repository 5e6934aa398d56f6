//! The server's time, as far as it is known here: at a moment of this replica's clock the server shows at least what it
//! showed in a reply, plus the time since that was received.

use std::sync::{Mutex, PoisonError};

use super::protocol::ServerTime;
use crate::clock::Tick;

/// The latest reading. See the module.
#[derive(Debug, Default)]
pub(super) struct ServerClock(Mutex<Option<Reading>>);

/// A time of the server, and the moment when this replica received it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) time: ServerTime,
    pub(super) received: Tick,
}

impl ServerClock {
    /// Notes what the server showed; it may be another server than before.
    pub(super) fn note(&self, time: ServerTime, received: Tick) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Reading { time, received });
    }

    /// The server's time at a moment, or an earlier time. `None` before the first reading.
    pub(super) fn at(&self, moment: Tick) -> Option<ServerTime> {
        let reading = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reading.map(|reading| reading.at(moment))
    }
}

impl Reading {
    /// The server's time at a moment, or an earlier time; for [`Tick::END`] the greatest time.
    pub(super) fn at(self, moment: Tick) -> ServerTime {
        if moment == Tick::END {
            return ServerTime(u64::MAX);
        }
        let later = moment.since(self.received).as_nanos() / NANOS;
        let earlier = self.received.since(moment).as_nanos().div_ceil(NANOS);
        let millis = |nanos: u128| u64::try_from(nanos).unwrap_or(u64::MAX);
        let time = self.time.0.saturating_add(millis(later));
        ServerTime(time.saturating_sub(millis(earlier)))
    }
}

/// Nanoseconds in a millisecond.
const NANOS: u128 = 1_000_000;

#[cfg(test)]
mod tests;
