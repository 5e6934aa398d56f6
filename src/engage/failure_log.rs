//! Log of failed calls. The first failure of a kind is logged at once, with the request that caused it. While failures
//! of the same kind follow, one event every ten seconds counts them. A failure that only an operator can fix has a
//! message for each cause, and is an alarm. When Engage answers again, one event says how long it did not.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::runtime::Handle;

use super::{
    error::{Error, SECURING},
    group::{Group, GroupMap},
};
use crate::{
    clock::{Clock, Tick},
    domain::{RequestId, TraceId},
};

/// How long failures of a kind are counted after one was logged, before their number is logged.
const WINDOW: Duration = Duration::from_secs(10);
/// How long after a refused setting was logged it is not logged again.
const SETTING_WINDOW: Duration = Duration::from_secs(3600);
/// The most kinds of failures of one group that are logged at the same time; further kinds are only counted in the
/// metrics.
const MAX_KINDS: usize = 32;
/// This many failed calls in a row are an outage, whose end is logged.
const OUTAGE: u32 = 2;

/// The request for which a call was first made, if a request caused it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cause {
    /// Its id.
    pub request_id: Option<RequestId>,
    /// Its trace, if that is recorded.
    pub trace_id: Option<TraceId>,
}

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailedCall {
    /// The cause of the call.
    pub cause: Cause,
    /// How long it took, with its retries.
    pub took: Duration,
}

/// The log of failed calls. Clones share it.
#[derive(Clone)]
pub struct FailureLog(Arc<Shared>);

struct Shared {
    groups: Mutex<GroupMap<GroupState>>,
    /// When the refusal of the default contact type was last logged.
    default_type_refused: Mutex<Option<Tick>>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct GroupState {
    /// The kinds that were logged within the last window.
    kinds: Vec<Kind>,
    failing: Option<Failing>,
}

/// A kind of failure, by its text.
#[derive(Debug)]
struct Kind {
    error: Error,
    text: String,
    /// The number of failures since the last event, and the latest of them.
    unlogged: Option<(u64, FailedCall)>,
}

/// A period in which calls fail.
#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Tick,
    last: Tick,
    failures: u64,
    /// Failures since a call last succeeded, without those that are no news.
    in_a_row: u32,
    is_outage: bool,
    /// When a call first succeeded after the last failure.
    answered_at: Option<Tick>,
}

impl Failing {
    fn new(now: Tick) -> Self {
        Self {
            since: now,
            last: now,
            failures: 0,
            in_a_row: 0,
            is_outage: false,
            answered_at: None,
        }
    }
}

impl GroupState {
    fn record_failure(&mut self, is_news: bool, now: Tick) {
        let failing = self.failing.get_or_insert_with(|| Failing::new(now));
        failing.last = now;
        failing.failures += 1;
        failing.answered_at = None;
        // A contact whose calls fail again and again is not an outage.
        failing.in_a_row += u32::from(is_news);
        failing.is_outage |= failing.in_a_row >= OUTAGE;
    }

    /// Returns the outage if it is over: no call has failed for a window, and one has succeeded since.
    fn take_ended(&mut self, now: Tick) -> Option<Failing> {
        let is_over =
            |failing: &Failing| failing.answered_at.is_some() && now.since(failing.last) >= WINDOW;
        self.failing
            .take_if(|failing| is_over(failing))
            .filter(|failing| failing.is_outage)
    }
}

impl FailureLog {
    /// An empty log.
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            groups: Mutex::new(GroupMap::from_fn(|_| GroupState::default())),
            default_type_refused: Mutex::default(),
            clock,
        }))
    }

    /// Records that a call of the group failed. `is_news`: the failure is logged, because it concerns every call or is
    /// the first one since this very call last succeeded or was invalidated.
    pub fn failed(&self, group: Group, error: &Error, call: FailedCall, is_news: bool) {
        if !is_logged(error) {
            return;
        }
        let now = self.0.clock.tick();
        let text = error.to_string();
        {
            let mut groups = self.0.groups();
            let state = &mut groups[group];
            // A response about another contact still shows that Engage answers.
            if *error != Error::IdentityMismatch {
                state.record_failure(is_news, now);
            }
            if !is_news {
                return;
            }
            if let Some(kind) = state.kinds.iter_mut().find(|kind| kind.text == text) {
                let before = kind.unlogged.map_or(0, |(count, _)| count);
                kind.unlogged = Some((before + 1, call));
                return;
            }
            if state.kinds.len() >= MAX_KINDS {
                return;
            }
            state.kinds.push(Kind {
                error: error.clone(),
                text: text.clone(),
                unlogged: None,
            });
        }
        log(group, error, call, None);
        self.close_window_later(group, text, now + WINDOW);
    }

    /// Records that a call of the group succeeded.
    pub fn succeeded(&self, group: Group) {
        let now = self.0.clock.tick();
        let ended = {
            let mut groups = self.0.groups();
            let state = &mut groups[group];
            let Some(failing) = &mut state.failing else {
                return;
            };
            failing.in_a_row = 0;
            failing.answered_at.get_or_insert(now);
            state.take_ended(now)
        };
        log_end(group, ended);
    }

    /// Logs that Engage does not know `engage.default_contact_type`, which only an operator can fix.
    pub(super) fn default_contact_type_refused(&self) {
        let now = self.0.clock.tick();
        let mut logged = self.0.default_type_refused.lock();
        let logged = logged
            .as_deref_mut()
            .unwrap_or_else(|error| error.get_mut());
        if logged.is_none_or(|at| now.since(at) >= SETTING_WINDOW) {
            *logged = Some(now);
            tracing::error!(alarm = true, "default contact type refused");
        }
    }

    /// Without a runtime, later failures of this kind are not logged.
    fn close_window_later(&self, group: Group, text: String, mut at: Tick) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let clock = self.0.clock.clone();
        let shared = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            loop {
                clock.sleep_until(at).await;
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                if !shared.close_window(group, &text) {
                    return;
                }
                at = at + WINDOW;
            }
        });
    }
}

impl Shared {
    fn groups(&self) -> MutexGuard<'_, GroupMap<GroupState>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs the failures counted in the window that ends. Returns whether another window begins.
    fn close_window(&self, group: Group, text: &str) -> bool {
        let now = self.clock.tick();
        let (counted, ended) = {
            let mut groups = self.groups();
            let state = &mut groups[group];
            let Some(index) = state.kinds.iter().position(|kind| kind.text == text) else {
                return false;
            };
            let kind = &mut state.kinds[index];
            if let Some(counted) = kind.unlogged.take() {
                (Some((kind.error.clone(), counted)), None)
            } else {
                state.kinds.swap_remove(index);
                (None, state.take_ended(now))
            }
        };
        log_end(group, ended);
        let Some((error, (count, last))) = counted else {
            return false;
        };
        log(group, &error, last, Some(count));
        true
    }
}

/// Whether this log reports the failure. A 429 and an opened breaker have events of their own.
fn is_logged(error: &Error) -> bool {
    error.needs_an_operator()
        || matches!(
            error,
            Error::Failed { .. } | Error::Unreachable { .. } | Error::Timeout
        )
}

/// Logs a failure. With `count` it stands for this many failures since the last event, of which `call` is the latest.
fn log(group: Group, error: &Error, call: FailedCall, count: Option<u64>) {
    let group = group.as_str();
    let request_id = call.cause.request_id.as_ref().map(RequestId::as_str);
    let trace_id = call.cause.trace_id.map(tracing::field::display);
    let duration_ms = call.took.as_secs_f64() * 1000.0;
    macro_rules! alarm {
        ($message:literal) => {
            tracing::error!(
                alarm = true,
                group,
                %error,
                request_id,
                trace_id,
                duration_ms,
                count,
                $message
            )
        };
    }
    match error {
        Error::Unauthorized => alarm!("engage API key not accepted"),
        Error::Forbidden => alarm!("engage request forbidden"),
        Error::InvalidSystemConfiguration => alarm!("engage tenant not configured"),
        Error::IdentityMismatch => alarm!("engage response about another contact"),
        Error::Invalid { .. } => alarm!("engage response unreadable"),
        Error::Unreachable { what } if *what == SECURING => {
            alarm!("engage TLS handshake failed");
        }
        _ => tracing::warn!(
            group,
            %error,
            request_id,
            trace_id,
            duration_ms,
            count,
            "upstream request failed"
        ),
    }
}

fn log_end(group: Group, ended: Option<Failing>) {
    let Some(ended) = ended else { return };
    let answered_at = ended.answered_at.unwrap_or(ended.last);
    tracing::info!(
        group = group.as_str(),
        failed_seconds = answered_at.since(ended.since).as_secs_f64(),
        failures = ended.failures,
        "engage outage ended"
    );
}

#[cfg(test)]
mod tests;
