//! What happens in the shop, and when.

use std::{collections::BTreeMap, time::Duration};

/// A scheduled event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// A session starts in the web shop; schedules the next one.
    Opens,
    /// The next page view of a session.
    Views(Session),
    /// A contact pays at a till; schedules the next one.
    Pays,
    /// A contact calls the service desk.
    Calls(u32),
    /// Engage reports a purchase of a contact.
    Bought(u32),
    /// Engage reports another change of a contact.
    Updated,
    /// Engage reports a new promotion of a contact.
    Promoted,
}

/// A session in the web shop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) contact: u32,
    pub(crate) number: usize,
    pub(crate) is_logged_in: bool,
}

/// The events by time, and in the order of scheduling. Times are since the shop opened.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    events: BTreeMap<(Duration, u64), Event>,
    scheduled: u64,
}

impl Schedule {
    pub(crate) fn add(&mut self, at: Duration, event: Event) {
        self.scheduled += 1;
        self.events.insert((at, self.scheduled), event);
    }

    /// When the next event is due.
    pub(crate) fn next(&self) -> Option<Duration> {
        self.events.keys().next().map(|(at, _)| *at)
    }

    /// Takes an event that is due.
    pub(crate) fn take_due(&mut self, now: Duration) -> Option<Event> {
        let entry = self.events.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
