//! Header fields, described once for both forms of a response: hyper's [`HeaderMap`], and the bytes of a response that
//! the [fast path](super::fast_path) writes. hyper adds `Content-Length` and `Date` by itself; a response that hyper
//! does not write gets them where it is written.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};

use crate::{customer::CacheStatus, domain::RequestId};

/// The name of a field, in both forms.
pub(super) struct FieldName {
    pub(super) name: HeaderName,
    /// The name and what separates it from its value.
    prefix: &'static str,
}

macro_rules! field_name {
    ($name:literal) => {
        FieldName {
            name: HeaderName::from_static($name),
            prefix: concat!($name, ": "),
        }
    };
}

pub(super) static ETAG: FieldName = field_name!("etag");
pub(super) static AGE: FieldName = field_name!("age");
pub(super) static CACHE_STATUS: FieldName = field_name!("cache-status");
pub(super) static CONTENT_TYPE: FieldName = field_name!("content-type");
pub(super) static CONTENT_ENCODING: FieldName = field_name!("content-encoding");
pub(super) static CONTENT_LENGTH: FieldName = field_name!("content-length");
pub(super) static DATE: FieldName = field_name!("date");
static CONNECTION: FieldName = field_name!("connection");
static SERVER_TIMING: FieldName = field_name!("server-timing");
static REQUEST_ID: FieldName = field_name!("x-request-id");

/// For responses that differ by the origin of the page whose script requests them.
const VARY_BY_ORIGIN: HeaderValue =
    HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key, Origin");

/// On every response, errors too: no cache in front of this one may ever store a customer.
const FIXED: [(HeaderName, HeaderValue); 5] = [
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store"),
    ),
    (
        HeaderName::from_static("cdn-cache-control"),
        HeaderValue::from_static("no-store"),
    ),
    (
        header::VARY,
        HeaderValue::from_static("Accept-Encoding, Authorization, X-Api-Key"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Receives the header fields of a response in the order in which they are sent.
pub(super) trait HeaderSink {
    /// Adds a field with a constant value.
    fn constant(&mut self, name: &'static FieldName, value: &'static str);

    /// Adds a field with a number.
    fn number(&mut self, name: &'static FieldName, value: u64);

    /// Adds a field with a copy of the value, which must be visible ASCII.
    fn copied(&mut self, name: &'static FieldName, value: &str);

    /// Adds a field whose value `write` appends to the text. It must be visible ASCII.
    fn text(&mut self, name: &'static FieldName, write: impl FnOnce(&mut String));

    /// Adds the fields that are the same on every response.
    fn fixed(&mut self, fields: &FixedFields);
}

impl HeaderSink for HeaderMap {
    fn constant(&mut self, name: &'static FieldName, value: &'static str) {
        self.insert(&name.name, HeaderValue::from_static(value));
    }

    fn number(&mut self, name: &'static FieldName, value: u64) {
        self.insert(&name.name, HeaderValue::from(value));
    }

    fn copied(&mut self, name: &'static FieldName, value: &str) {
        let value = HeaderValue::from_str(value).expect("visible ASCII makes a header value");
        self.insert(&name.name, value);
    }

    fn text(&mut self, name: &'static FieldName, write: impl FnOnce(&mut String)) {
        let mut text = String::with_capacity(64);
        write(&mut text);
        let value = HeaderValue::try_from(text).expect("visible ASCII makes a header value");
        self.insert(&name.name, value);
    }

    fn fixed(&mut self, fields: &FixedFields) {
        for (name, value) in &fields.fields {
            self.insert(name, value.clone());
        }
    }
}

/// The head of a response as bytes, in memory that the connection's next response uses again.
#[derive(Default)]
pub(super) struct RawHead(String);

impl RawHead {
    /// Begins a head with its status line, as hyper writes it.
    #[inline]
    pub(super) fn begin(&mut self, status: StatusCode) {
        self.0.clear();
        self.0.push_str("HTTP/1.1 ");
        self.0.push_str(status.as_str());
        self.0.push(' ');
        self.0
            .push_str(status.canonical_reason().unwrap_or("<none>"));
        self.0.push_str("\r\n");
    }

    /// Adds a field of any name.
    pub(super) fn field(&mut self, name: &HeaderName, value: &str) {
        self.0.push_str(name.as_str());
        self.0.push_str(": ");
        self.0.push_str(value);
        self.0.push_str("\r\n");
    }

    /// Ends the head.
    #[inline]
    pub(super) fn end(&mut self) {
        self.0.push_str("\r\n");
    }

    #[inline]
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl HeaderSink for RawHead {
    #[inline]
    fn constant(&mut self, name: &'static FieldName, value: &'static str) {
        self.copied(name, value);
    }

    #[inline]
    fn number(&mut self, name: &'static FieldName, value: u64) {
        self.copied(name, itoa::Buffer::new().format(value));
    }

    #[inline]
    fn copied(&mut self, name: &'static FieldName, value: &str) {
        self.text(name, |text| text.push_str(value));
    }

    #[inline]
    fn text(&mut self, name: &'static FieldName, write: impl FnOnce(&mut String)) {
        self.0.push_str(name.prefix);
        write(&mut self.0);
        self.0.push_str("\r\n");
    }

    #[inline]
    fn fixed(&mut self, fields: &FixedFields) {
        self.0.push_str(&fields.lines);
    }
}

/// The fields that are the same on every response of a listener.
pub(super) struct FixedFields {
    fields: [(HeaderName, HeaderValue); 5],
    /// The same fields as text, in the form in which they are sent.
    lines: Box<str>,
}

impl FixedFields {
    /// `varies_by_origin`: whether scripts of pages of other origins may read responses.
    pub(super) fn new(varies_by_origin: bool) -> Self {
        let mut fields = FIXED;
        if varies_by_origin {
            let vary = fields.iter_mut().find(|(name, _)| *name == header::VARY);
            vary.expect("Vary is one of them").1 = VARY_BY_ORIGIN;
        }
        let mut head = RawHead::default();
        for (name, value) in &fields {
            head.field(name, value.to_str().expect("visible ASCII"));
        }
        Self {
            fields,
            lines: head.0.into_boxed_str(),
        }
    }
}

/// What the common fields of a response say.
pub(super) struct CommonFields<'a> {
    pub(super) fixed: &'a FixedFields,
    /// Whether the response says how long it took and what the cache did, which could disclose to a shopper what others
    /// requested.
    pub(super) is_timed: bool,
    pub(super) cache_status: Option<CacheStatus>,
    pub(super) took: Duration,
    pub(super) request_id: &'a RequestId,
}

impl CommonFields<'_> {
    /// Writes the fields that follow a response's own.
    #[inline]
    pub(super) fn write(&self, sink: &mut impl HeaderSink) {
        sink.fixed(self.fixed);
        if self.is_timed {
            sink.text(&SERVER_TIMING, |text| {
                write_server_timing(text, self.cache_status, self.took);
            });
        }
        sink.copied(&REQUEST_ID, self.request_id.as_str());
    }
}

/// Announces that the connection ends with the response.
pub(super) fn write_close(sink: &mut impl HeaderSink) {
    sink.constant(&CONNECTION, "close");
}

/// The value of `Server-Timing`: what the cache did, and how long the response took, in milliseconds.
fn write_server_timing(text: &mut String, cache_status: Option<CacheStatus>, took: Duration) {
    if let Some(cache_status) = cache_status {
        text.push_str("cache;desc=");
        text.push_str(cache_status.as_str());
        text.push_str(", ");
    }
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let mut number = itoa::Buffer::new();
    text.push_str("total;dur=");
    text.push_str(number.format(micros / 1000));
    text.push('.');
    // Adding a thousand and dropping its digit keeps the leading zeros.
    text.push_str(&number.format(1000 + micros % 1000)[1..]);
}

/// The value of `Date`, formatted at most once a second.
#[derive(Debug, Default)]
pub(super) struct DateText {
    second: i64,
    text: String,
}

impl DateText {
    /// The date as hyper writes it.
    #[inline]
    pub(super) fn at(&mut self, wall: Timestamp) -> &str {
        let second = wall.as_second();
        if self.second != second || self.text.is_empty() {
            self.second = second;
            self.text = DateTimePrinter::new()
                .timestamp_to_rfc9110_string(&wall)
                .unwrap_or_default();
        }
        &self.text
    }
}
