//! `GET /events`: the metrics and the readiness of this replica, once a second, as server-sent events. The console reads
//! them.
//!
//! The source is the registry behind `/metrics`, so the two never disagree. It is read only while an operator watches,
//! and once for all of them: the first whose second is over reads it, the others get the same reading. The first event
//! has every sample, and so has an event after a reading that the viewer missed; all others have the differences. An
//! event is made when the connection has room for it: a reader that is slow gets fewer, and one that stops reading is
//! disconnected by the connection's write time-out.

mod samples;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::Response,
};
use futures_util::stream;
use http::{HeaderName, HeaderValue, header};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::samples::Samples;
use super::{
    OperationsState, Operator,
    readiness::{self, ReadinessJson},
};
use crate::{
    clock::{Now, Tick},
    http::error::{ApiError, Code},
};

/// How many operators may watch at once.
const MAX_VIEWERS: usize = 16;
/// The time between two events.
const INTERVAL: Duration = Duration::from_secs(1);
/// `Retry-After` if the most operators watch already.
const BUSY: Duration = Duration::from_secs(10);
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Asks nginx not to hold the events back.
const NO_BUFFERING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

/// The events, and the slots of the viewers.
pub struct Events {
    slots: Arc<Semaphore>,
    latest: Mutex<Option<Reading>>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MAX_VIEWERS)),
            latest: Mutex::default(),
        }
    }
}

/// A reading of the registry.
struct Reading {
    /// Its number, from 1 on.
    number: u64,
    read_at: Now,
    samples: Samples,
    /// Its differences to the one before, as an event.
    difference: Bytes,
}

/// One event.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Event))]
pub(super) struct EventJson<'a> {
    /// When the metrics were read.
    #[cfg_attr(test, schema(value_type = String, format = "date-time"))]
    at: String,
    /// As in `/readyz`.
    readiness: ReadinessJson,
    /// Each series, as it is written in `/metrics`, with its value; `null`: the series ended, or its value is no number.
    #[cfg_attr(test, schema(value_type = std::collections::BTreeMap<String, Option<f64>>))]
    samples: &'a Samples,
}

/// Answers with the events, until the operator leaves or the replica shuts down.
pub(in crate::http) async fn watch(
    _operator: Operator,
    State(state): State<OperationsState>,
) -> Result<Response, ApiError> {
    let Ok(slot) = Arc::clone(&state.events.slots).try_acquire_owned() else {
        let detail = "Too many operators are watching the events.";
        return Err(ApiError::with_detail(Code::Overloaded, detail).retry_after(BUSY));
    };
    let viewer = Viewer {
        due: state.customers.clock().tick(),
        state,
        last_number: 0,
        is_over: false,
        _slot: slot,
    };
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<Bytes, Infallible>(event), viewer))
    });
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENT_STREAM);
    headers.insert(NO_BUFFERING.0, NO_BUFFERING.1);
    Ok(response)
}

/// One operator that watches.
struct Viewer {
    state: OperationsState,
    /// When the next event is due.
    due: Tick,
    /// The number of the last reading that was sent to it; zero before the first.
    last_number: u64,
    is_over: bool,
    _slot: OwnedSemaphorePermit,
}

impl Viewer {
    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let clock = self.state.customers.clock().clone();
        clock.sleep_until(self.due).await;
        let now = clock.now();
        // A replica that shuts down sends one more, so that no viewer delays its end.
        self.is_over = !self.state.readiness.is_ready();
        let event = self
            .state
            .events
            .event(&self.state, self.last_number, now)?;
        self.last_number = event.number;
        // All viewers' events are due together, whenever they began.
        self.due = event.read_at + INTERVAL;
        Some(event.text)
    }
}

/// What is sent to a viewer.
struct Event {
    /// The number of its reading.
    number: u64,
    read_at: Tick,
    text: Bytes,
}

impl Events {
    /// The event of the latest reading for a viewer that has the reading `last_number`; the registry is read if that is
    /// an interval old. `None` if it can't be.
    fn event(&self, state: &OperationsState, last_number: u64, now: Now) -> Option<Event> {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = |reading: &Reading| now.tick.since(reading.read_at.tick) < INTERVAL;
        if !latest.as_ref().is_some_and(is_current) {
            *latest = Some(Reading::after(latest.as_ref(), state, now)?);
        }
        let reading = latest.as_ref()?;
        let text = if last_number > 0 && last_number + 1 == reading.number {
            reading.difference.clone()
        } else {
            event("samples", state, &reading.samples, reading.read_at)?
        };
        Some(Event {
            number: reading.number,
            read_at: reading.read_at.tick,
            text,
        })
    }
}

impl Reading {
    /// Reads the registry, after an earlier reading or for the first time.
    fn after(earlier: Option<&Self>, state: &OperationsState, now: Now) -> Option<Self> {
        let samples = Samples::read(&state.registry)?;
        let nothing = Samples::default();
        let difference =
            samples.difference_to(earlier.map_or(&nothing, |earlier| &earlier.samples));
        Some(Self {
            number: earlier.map_or(0, |earlier| earlier.number) + 1,
            read_at: now,
            difference: event("difference", state, &difference, now)?,
            samples,
        })
    }
}

/// The event in the format of server-sent events.
fn event(name: &str, state: &OperationsState, samples: &Samples, now: Now) -> Option<Bytes> {
    let event = EventJson {
        at: format!("{:.3}", now.wall),
        readiness: readiness::detail(state),
        samples,
    };
    let json = serde_json::to_string(&event).ok()?;
    Some(Bytes::from(format!("event: {name}\ndata: {json}\n\n")))
}
