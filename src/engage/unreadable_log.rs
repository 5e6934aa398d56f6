//! Log of unreadable items: one event per part, path and hour, for any number of contacts.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{clock::Tick, domain::AnswerPath};

/// Minimum interval between events about one path.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Time of the last event by part and path. Bounded by the paths that the reader knows.
#[derive(Debug, Default)]
pub(super) struct UnreadableLog(Mutex<HashMap<(&'static str, AnswerPath), Tick>>);

impl UnreadableLog {
    /// Logs the paths that are due.
    pub(super) fn log(&self, part: &'static str, left_out: &[AnswerPath], now: Tick) {
        let mut counts: BTreeMap<AnswerPath, usize> = BTreeMap::new();
        for path in left_out {
            *counts.entry(path).or_default() += 1;
        }
        counts.retain(|path, _| self.is_due(part, path, now));
        for (path, count) in counts {
            tracing::error!(alarm = true, part, path, count, "unreadable item left out");
        }
    }

    fn is_due(&self, part: &'static str, path: AnswerPath, now: Tick) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = logged.get(&(part, path));
        let due = last.is_none_or(|last| now.since(*last) >= INTERVAL);
        if due {
            logged.insert((part, path), now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_logged_once_an_hour() {
        let log = UnreadableLog::default();
        let start = Tick::from_nanos(7);
        let path = "vouchers[].expiresOn";
        assert!(log.is_due("vouchers", path, start));
        assert!(log.is_due("promotions", path, start));
        assert!(log.is_due("vouchers", "vouchers[].id", start));
        for (minutes, due) in [
            (0, false),
            (59, false),
            (60, true),
            (61, false),
            (120, true),
        ] {
            let now = start + Duration::from_secs(minutes * 60);
            assert_eq!(log.is_due("vouchers", path, now), due, "{minutes}");
        }
    }
}
