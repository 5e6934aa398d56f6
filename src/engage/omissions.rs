//! What was left out of Engage's answers because it cannot be read: logged once per place and hour, however many
//! contacts have it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    clock::Tick,
    domain::{AnswerPath, Part},
};

/// How long a place is not logged again.
const QUIET: Duration = Duration::from_secs(3600);

/// When each place was last logged. There are as many as the reader knows keys.
#[derive(Debug, Default)]
pub(super) struct Omissions(Mutex<HashMap<(Part, AnswerPath), Tick>>);

impl Omissions {
    /// Logs the places that were not logged of late.
    pub(super) fn log(&self, part: Part, left_out: &[AnswerPath], now: Tick) {
        let mut counts: BTreeMap<AnswerPath, usize> = BTreeMap::new();
        for path in left_out {
            *counts.entry(path).or_default() += 1;
        }
        counts.retain(|path, _| self.is_due(part, path, now));
        for (path, count) in counts {
            tracing::error!(
                alarm = true,
                part = part.as_str(),
                path,
                count,
                "unreadable item left out"
            );
        }
    }

    fn is_due(&self, part: Part, path: AnswerPath, now: Tick) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = logged.get(&(part, path));
        let due = last.is_none_or(|last| now.since(*last) >= QUIET);
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
    fn a_place_is_due_once_an_hour() {
        let omissions = Omissions::default();
        let start = Tick::from_nanos(7);
        let path = "vouchers[].expiresOn";
        assert!(omissions.is_due(Part::Vouchers, path, start));
        assert!(omissions.is_due(Part::Promotions, path, start));
        assert!(omissions.is_due(Part::Vouchers, "vouchers[].id", start));
        for (minutes, due) in [
            (0, false),
            (59, false),
            (60, true),
            (61, false),
            (120, true),
        ] {
            let now = start + Duration::from_secs(minutes * 60);
            assert_eq!(
                omissions.is_due(Part::Vouchers, path, now),
                due,
                "{minutes}"
            );
        }
    }
}
