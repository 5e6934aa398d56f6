//! Request ids: the caller's own where it is well-formed, else a new one.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use uuid::fmt::Hyphenated;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is accepted from a caller, in bytes.
const MAX_LENGTH: usize = 64;

/// The id of a request, sent in the response, in problems and in log events.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId {
    text: [u8; MAX_LENGTH],
    length: usize,
}

impl RequestId {
    /// The caller's own where it is well-formed, else a new one.
    pub(super) fn from_headers(headers: &HeaderMap) -> Self {
        Self::from_bytes(headers.get(&REQUEST_ID).map(HeaderValue::as_bytes))
    }

    /// The given id where it is well-formed, else a new one.
    pub(super) fn from_bytes(given: Option<&[u8]>) -> Self {
        let mut id = Self {
            text: [0; MAX_LENGTH],
            length: 0,
        };
        if let Some(given) = given.filter(|given| is_well_formed(given)) {
            id.length = given.len();
            id.text[..id.length].copy_from_slice(given);
        } else {
            // Ids only distinguish requests: no secure source of randomness is needed.
            let random = fastrand::u128(..).to_le_bytes();
            let uuid = uuid::Builder::from_random_bytes(random).into_uuid();
            id.length = Hyphenated::LENGTH;
            uuid.hyphenated().encode_lower(&mut id.text);
        }
        id
    }

    /// The id in the extensions, else a new one.
    pub(super) fn from_extensions(extensions: &Extensions) -> Self {
        let found = extensions.get().copied();
        found.unwrap_or_else(|| Self::from_bytes(None))
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(is_allowed)
}
