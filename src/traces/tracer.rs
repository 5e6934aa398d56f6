//! Decides which traces are recorded.

use std::sync::Arc;

use super::{queue::SpanQueue, request::RequestTrace, span::Span};
use crate::{
    clock::Now,
    domain::{FlightTrace, SpanContext},
};

/// Begins and ends spans. The default does neither. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Recording>>);

#[derive(Debug)]
struct Recording {
    queue: Arc<SpanQueue>,
    /// The share of requests that are recorded if the caller does not decide it.
    ratio: f64,
}

impl Tracer {
    pub(super) fn new(queue: Arc<SpanQueue>, ratio: f64) -> Self {
        Self(Some(Arc::new(Recording { queue, ratio })))
    }

    /// Whether spans are recorded at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the span of a request with this `traceparent`, whose caller is not known yet. `None` if traces are off.
    pub fn begin(&self, traceparent: Option<&[u8]>, now: Now) -> Option<Arc<RequestTrace>> {
        let recording = self.0.as_ref()?;
        let incoming = traceparent.and_then(SpanContext::parse);
        let context = SpanContext::root(recording.draw());
        Some(Arc::new(RequestTrace::new(context, incoming, now)))
    }

    /// Like [`begin`](Self::begin), for a request with a client's key; also returns `None`, without an allocation, if
    /// the request is not recorded.
    pub fn begin_recorded(
        &self,
        traceparent: Option<&[u8]>,
        now: Now,
    ) -> Option<Arc<RequestTrace>> {
        let recording = self.0.as_ref()?;
        let incoming = traceparent.and_then(SpanContext::parse);
        let is_sampled = incoming.map_or_else(|| recording.draw(), |incoming| incoming.is_sampled);
        is_sampled.then(|| Arc::new(RequestTrace::new(SpanContext::root(true), incoming, now)))
    }

    /// Begins the span of a flight that this request would start. `None` if traces are off.
    pub fn begin_flight(&self, request: Option<&RequestTrace>) -> Option<Arc<FlightTrace>> {
        self.is_on()
            .then(|| Arc::new(FlightTrace::of(request.map(RequestTrace::context))))
    }

    /// Takes a finished span, if its trace is recorded.
    pub fn record(&self, span: Span) {
        if let Some(recording) = &self.0
            && span.context.is_sampled
        {
            recording.queue.push(span);
        }
    }
}

impl Recording {
    fn draw(&self) -> bool {
        fastrand::f64() < self.ratio
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const SAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const UNSAMPLED: &[u8] = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    fn tracer(ratio: f64) -> Tracer {
        fastrand::seed(7);
        Tracer::new(Arc::default(), ratio)
    }

    /// The number of recorded requests among ten thousand, as each of the two functions decides.
    fn recorded(ratio: f64, traceparent: Option<&[u8]>) -> [usize; 2] {
        let tracer = tracer(ratio);
        let now = Clock::system().now();
        let begun = |_: &usize| {
            let trace = tracer.begin(traceparent, now).expect("traces are on");
            trace.context().is_sampled
        };
        let is_recorded = |_: &usize| tracer.begin_recorded(traceparent, now).is_some();
        [
            (0..10_000).filter(begun).count(),
            (0..10_000).filter(is_recorded).count(),
        ]
    }

    #[test]
    fn ratio_of_requests_is_recorded() {
        assert_eq!(recorded(0.0, None), [0, 0]);
        assert_eq!(recorded(1.0, None), [10_000, 10_000]);
        for count in recorded(0.01, None) {
            assert!((70..=130).contains(&count), "{count}");
        }
    }

    #[test]
    fn callers_flag_does_not_count_before_the_caller_is_known() {
        assert_eq!(recorded(0.0, Some(SAMPLED)), [0, 10_000]);
        assert_eq!(recorded(1.0, Some(UNSAMPLED)), [10_000, 0]);
    }

    #[test]
    fn nothing_begins_where_traces_are_off() {
        let (tracer, now) = (Tracer::default(), Clock::system().now());
        assert!(tracer.begin(Some(SAMPLED), now).is_none());
        assert!(tracer.begin_recorded(Some(SAMPLED), now).is_none());
        assert!(tracer.begin_flight(None).is_none());
    }
}
