//! Keeps log events about what happens often a minute apart.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::clock::Tick;

const SPACING: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LogSpacing(Mutex<Option<Tick>>);

impl LogSpacing {
    /// Whether an event is due now; then the next is due a minute later.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now >= last + SPACING);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}
