//! The id of a request: the caller's own where it is well-formed, else a new one.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use uuid::fmt::Hyphenated;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, in its answer, its problem body and its log events.
#[derive(Clone, Debug)]
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The caller's own where it is well-formed, else a new one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let well_formed = |value: &&HeaderValue| {
            let is_allowed =
                |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=64).contains(&value.len()) && value.as_bytes().iter().all(is_allowed)
        };
        let own = headers.get(&REQUEST_ID).filter(well_formed);
        Self(own.cloned().unwrap_or_else(|| {
            // Only to tell requests apart, so no secure source of randomness is needed.
            let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid();
            let mut text = [0; Hyphenated::LENGTH];
            let text = id.hyphenated().encode_lower(&mut text);
            HeaderValue::from_str(text).expect("a UUID makes a header value")
        }))
    }

    /// The one that the front door found.
    pub(super) fn among(extensions: &Extensions) -> Self {
        let found = extensions.get().cloned();
        found.unwrap_or_else(|| Self::of(&HeaderMap::new()))
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn into_value(self) -> HeaderValue {
        self.0
    }
}
