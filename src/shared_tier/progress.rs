//! How far the stream was read, compared with the heartbeats.
//!
//! A heartbeat succeeds only in the current epoch, and returns the last entry of its stream. Once that entry has been
//! applied, so has everything that was acknowledged before the heartbeat was sent, because it was in the stream
//! already. An empty read does not show this, because a stream that was flushed has no entries either.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, watch};

use super::protocol::{EpochId, Position};
use crate::clock::Tick;

/// The most heartbeats that wait for the stream. A further one replaces the oldest.
const BEATS: usize = 8;

/// See the module.
pub(super) struct Progress {
    place: watch::Sender<Place>,
    state: Mutex<State>,
    /// A heartbeat was noted.
    beaten: Notify,
}

/// What was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: EpochId,
    pub(super) position: Position,
}

#[derive(Debug, Default)]
struct State {
    beats: VecDeque<Beat>,
    /// A heartbeat showed that the stream ends before what was read.
    is_rewound: bool,
    caught_up: Option<Tick>,
    gaps: u64,
}

/// A heartbeat.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    pub(super) epoch: EpochId,
    /// When it was sent.
    pub(super) sent: Tick,
    /// The last entry then.
    pub(super) last: Position,
}

impl Progress {
    pub(super) fn new() -> Self {
        let nowhere = Place {
            epoch: EpochId(0),
            position: Position::START,
        };
        Self {
            place: watch::Sender::new(nowhere),
            state: Mutex::default(),
            beaten: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was read last.
    pub(super) fn place(&self) -> Place {
        *self.place.borrow()
    }

    /// Follows [`Progress::place`].
    pub(super) fn places(&self) -> watch::Receiver<Place> {
        self.place.subscribe()
    }

    /// Forgets the heartbeats of an earlier session.
    pub(super) fn forget_beats(&self) {
        self.state().beats.clear();
    }

    /// Notes what was read and applied.
    pub(super) fn read(&self, place: Place) {
        self.place.send_replace(place);
    }

    /// Notes that an epoch was read to its end, and the next begins: the old one's heartbeats count as reached.
    pub(super) fn followed(&self, ended: EpochId, place: Place) {
        for beat in &mut self.state().beats {
            if beat.epoch == ended {
                beat.epoch = place.epoch;
                beat.last = Position::START;
            }
        }
        self.read(place);
    }

    /// Notes a heartbeat. `before` is what had been read last when it was sent. `false` if the stream ends before that:
    /// then it is not the stream that was read.
    pub(super) fn beaten(&self, beat: Beat, before: Place) -> bool {
        let mut state = self.state();
        if before.epoch == beat.epoch && beat.last < before.position {
            state.is_rewound = true;
            return false;
        }
        if state.beats.len() == BEATS {
            state.beats.pop_front();
        }
        state.beats.push_back(beat);
        drop(state);
        self.beaten.notify_one();
        true
    }

    /// Returns after a heartbeat was noted. For one task.
    pub(super) async fn next_beat(&self) {
        self.beaten.notified().await;
    }

    /// The moment until which everything acknowledged was applied, if that is later than before.
    pub(super) fn reached(&self) -> Option<Tick> {
        let place = self.place();
        let mut state = self.state();
        let index = state
            .beats
            .iter()
            .rposition(|beat| beat.epoch == place.epoch && beat.last <= place.position)?;
        let reached = state.beats[index].sent;
        state.beats.drain(..=index);
        state.caught_up = state.caught_up.max(Some(reached));
        Some(reached)
    }

    /// Whether a heartbeat showed that the stream ends before what was read; once.
    pub(super) fn take_rewound(&self) -> bool {
        std::mem::take(&mut self.state().is_rewound)
    }

    pub(super) fn note_gap(&self) {
        self.state().gaps += 1;
    }

    /// The moment until which everything acknowledged was applied.
    pub(super) fn caught_up(&self) -> Option<Tick> {
        self.state().caught_up
    }

    pub(super) fn gaps(&self) -> u64 {
        self.state().gaps
    }
}

#[cfg(test)]
mod tests;
