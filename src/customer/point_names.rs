//! Reads the names of the point definitions in the background. No request waits for them, and nothing fails without
//! them.

use std::time::Duration;

use super::CustomerService;
use crate::{
    clock::Tick,
    domain::Priority,
    engage::{AdmissionRequest, Error, Group},
};

/// How long the names are kept before they are read again.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The wait after a failure, doubled after each further one.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest wait after a failure.
const LONGEST_RETRY: Duration = Duration::from_secs(60 * 60);
/// The least time between two log events about names that cannot be read.
const LOG_INTERVAL: Duration = LIFETIME;

impl CustomerService {
    /// The time since the names of points were read; `None` if they have not been read.
    pub fn point_definitions_age(&self) -> Option<Duration> {
        self.inner.engage.point_definitions_age()
    }

    /// Reads the names of points now, and again when they are a day old or, after a failure, within an hour. If Engage
    /// has no such endpoint, it tries again after a day. Makes one call at a time, with a background priority. Returns
    /// at once if the names are not wanted.
    pub(super) async fn keep_point_names(&self) {
        let engage = &self.inner.engage;
        if !engage.wants_point_names() {
            return;
        }
        let clock = &self.inner.clock;
        let mut schedule = Schedule::default();
        loop {
            let outcome = self.read_point_names().await;
            let now = clock.tick();
            let wait = schedule.note(outcome.err().as_ref(), now);
            clock.sleep_until(now + wait).await;
        }
    }

    async fn read_point_names(&self) -> Result<(), Error> {
        let demand = AdmissionRequest::of_service("(point definitions)", Priority::Refresh);
        let engage = &self.inner.engage;
        let permit = engage.admit(Group::PointDefinitions, demand).await?;
        engage.read_point_names(permit).await
    }
}

/// When the next attempt is made, and whether a failure is logged.
#[derive(Debug, Default)]
struct Schedule {
    failures: u32,
    logged_at: Option<Tick>,
}

impl Schedule {
    /// Records the result of an attempt. Returns the time until the next one.
    fn note(&mut self, error: Option<&Error>, now: Tick) -> Duration {
        let Some(error) = error else {
            self.failures = 0;
            return LIFETIME;
        };
        let is_absent = is_absent(error);
        let is_due = |logged_at| now.since(logged_at) >= LOG_INTERVAL;
        if self.logged_at.is_none_or(is_due) {
            self.logged_at = Some(now);
            if is_absent {
                tracing::info!("point definitions not offered");
            } else {
                tracing::warn!(%error, "point definitions unavailable");
            }
        }
        if is_absent {
            self.failures = 0;
            return LIFETIME;
        }
        let doublings = self.failures.min(16);
        self.failures += 1;
        (FIRST_RETRY * (1 << doublings)).min(LONGEST_RETRY)
    }
}

/// Whether Engage has no such endpoint, for this tenant or in this version. Without the endpoint, v3 may read the path
/// as that of the point account with the id `definitions`.
fn is_absent(error: &Error) -> bool {
    match error {
        Error::NotFound | Error::Rejected { .. } => true,
        Error::Failed { status, .. } => matches!(status, 400 | 404 | 405),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
