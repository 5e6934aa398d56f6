//! Request ids, by which callers and operators find a request in the log.

use uuid::fmt::Hyphenated;

/// The longest id that is accepted from a caller, in bytes.
const MAX_LENGTH: usize = 64;

/// The id of a request, sent in the response, in problems and in log events.
#[derive(Clone, Copy, Debug)]
pub struct RequestId {
    text: [u8; MAX_LENGTH],
    length: usize,
}

impl RequestId {
    /// The given id if it is well-formed, otherwise a new one.
    pub fn from_bytes(given: Option<&[u8]>) -> Self {
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

    /// Its text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

fn is_well_formed(id: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(is_allowed)
}
