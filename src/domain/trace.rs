//! The place of a request or a call in a distributed trace (W3C Trace Context).

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

/// The id of a trace; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// The id of a span; never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

/// What a `traceparent` says: the trace, the span within it, and whether the trace is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanContext {
    /// The trace.
    pub trace: TraceId,
    /// The span.
    pub span: SpanId,
    /// Whether the trace is recorded.
    pub is_sampled: bool,
}

/// The length of a `traceparent` of version 00, the only one that is defined.
const LENGTH: usize = 55;
/// The bit of the flags that says that the trace is recorded.
const SAMPLED: u8 = 1;

impl TraceId {
    /// A new id. Ids only distinguish traces: no secure source of randomness is needed.
    pub fn random() -> Self {
        Self(fastrand::u128(1..).to_be_bytes())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SpanId {
    /// A new id.
    pub fn random() -> Self {
        Self(fastrand::u64(1..).to_be_bytes())
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl SpanContext {
    /// The first span of a new trace.
    pub fn root(is_sampled: bool) -> Self {
        Self {
            trace: TraceId::random(),
            span: SpanId::random(),
            is_sampled,
        }
    }

    /// A new span of the same trace.
    #[must_use]
    pub fn child(self) -> Self {
        Self {
            span: SpanId::random(),
            ..self
        }
    }

    /// The context in a `traceparent` (W3C Trace Context, 3.2), of a later version too. `None` if it is malformed.
    pub fn parse(traceparent: &[u8]) -> Option<Self> {
        let (head, rest) = traceparent.split_at_checked(LENGTH)?;
        let [version] = hex(&head[..2])?;
        let are_dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        // Later versions may append fields.
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let trace: [u8; 16] = hex(&head[3..35])?;
        let span: [u8; 8] = hex(&head[36..52])?;
        let [flags] = hex(&head[53..])?;
        let is_valid = are_dashes && ends && trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self {
            trace: TraceId(trace),
            span: SpanId(span),
            is_sampled: flags & SAMPLED != 0,
        })
    }

    /// The `traceparent` for a request to another server, with this span as the parent.
    pub fn traceparent(&self) -> String {
        let flags = u8::from(self.is_sampled);
        format!("00-{}-{}-{flags:02x}", self.trace, self.span)
    }
}

/// The bytes of lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// The span of a flight, which requests share: the one that started it, and those that joined it. It is recorded if any
/// of their traces is.
#[derive(Debug)]
pub struct FlightTrace {
    context: SpanContext,
    parent: Option<SpanId>,
    is_sampled: AtomicBool,
}

impl FlightTrace {
    /// A child of the request's span; without a request the first span of a new trace.
    pub fn of(request: Option<SpanContext>) -> Self {
        let context = request.map_or_else(|| SpanContext::root(false), SpanContext::child);
        Self {
            context,
            parent: request.map(|request| request.span),
            is_sampled: AtomicBool::new(context.is_sampled),
        }
    }

    /// Records that a request joins this flight. The request had prepared `other` for a flight of its own, which is not
    /// used.
    pub fn joined_by(&self, other: &Self) {
        if other.is_sampled.load(Ordering::Relaxed) {
            self.is_sampled.store(true, Ordering::Relaxed);
        }
    }

    /// The span's context. `is_sampled` may still become `true` when another request joins.
    pub fn context(&self) -> SpanContext {
        SpanContext {
            is_sampled: self.is_sampled.load(Ordering::Relaxed),
            ..self.context
        }
    }

    /// The span of the request that started the flight.
    pub fn parent(&self) -> Option<SpanId> {
        self.parent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn parse(text: &str) -> Option<SpanContext> {
        SpanContext::parse(text.as_bytes())
    }

    #[test]
    fn well_formed_traceparent_is_read_and_written_back() {
        let context = parse(VALID).expect("well-formed");
        assert!(context.is_sampled);
        assert_eq!(context.traceparent(), VALID);
        let unsampled = VALID.replace("-01", "-00");
        let context = parse(&unsampled).expect("well-formed");
        assert!(!context.is_sampled);
        assert_eq!(context.traceparent(), unsampled);
    }

    #[test]
    fn other_flags_and_later_versions_are_read() {
        for (text, is_sampled) in [
            (VALID.replace("-01", "-03"), true),
            (VALID.replace("-01", "-fe"), false),
            (VALID.replacen("00-", "cc-", 1), true),
            (VALID.replacen("00-", "01-", 1) + "-what-the-future", true),
        ] {
            let context = parse(&text).unwrap_or_else(|| panic!("{text} is read"));
            assert_eq!(context.is_sampled, is_sampled, "{text}");
        }
    }

    #[test]
    fn malformed_traceparent_is_ignored() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            VALID[..54].to_owned(),
            format!("{VALID}-00"),
            format!("{VALID} "),
            format!(" {VALID}"),
            VALID.to_uppercase(),
            VALID.replacen("00-", "ff-", 1),
            VALID.replacen("00-", "01-", 1) + ".",
            VALID.replace('-', "_"),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", &zeros),
            VALID.replace("00f067aa0ba902b7", &zeros[..16]),
            VALID.replace("4bf9", "4bg9"),
            VALID.replace("-01", "-0g"),
            "alva.testsson@example.com".to_owned(),
        ] {
            assert_eq!(parse(&text), None, "{text}");
        }
    }

    #[test]
    fn flight_is_recorded_if_any_of_its_requests_is() {
        let sampled = SpanContext::root(true);
        let flight = FlightTrace::of(Some(SpanContext::root(false)));
        assert!(!flight.context().is_sampled);
        flight.joined_by(&FlightTrace::of(None));
        assert!(!flight.context().is_sampled);
        flight.joined_by(&FlightTrace::of(Some(sampled)));
        assert!(flight.context().is_sampled);
        flight.joined_by(&FlightTrace::of(None));
        assert!(flight.context().is_sampled);
    }
}
