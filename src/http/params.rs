//! Parameters out of a query or a JSON body: strictly read, each name once, nothing guessed.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

use super::error::{ApiError, Code};

/// A value longer than this is refused before it is looked at.
const MAX_VALUE: usize = 1024;
/// There are fewer names than this, so among so many parameters one is unknown or repeated, and the first
/// of those is found without the rest.
pub(super) const MAX_PARAMETERS: usize = 32;

/// What a caller gave, in its order.
#[derive(Debug, Default)]
pub(super) struct Params<'a>(pub(super) Vec<(Cow<'a, str>, ParamValue<'a>)>);

/// The value of a parameter.
#[derive(Debug)]
pub(super) enum ParamValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A list, in a body.
    List(Vec<String>),
    /// Something that no parameter is.
    Other,
    /// Whatever came with a name that was given before.
    Repeated,
}

impl<'a> Params<'a> {
    /// The parameters of a query.
    pub(super) fn from_query(query: &'a str) -> Result<Self, ApiError> {
        let mut params = Self::default();
        if query.is_empty() {
            return Ok(params);
        }
        for pair in query.split('&').take(MAX_PARAMETERS) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).map_err(|error| error.of("a parameter"))?;
            if value.len() > MAX_VALUE {
                return Err(ApiError::parameter(&name, "too long"));
            }
            let value = decode(value).map_err(|error| error.of(&name))?;
            params.add(name, ParamValue::Text(value));
        }
        Ok(params)
    }

    /// The parameters of a JSON body.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        // serde's message would quote the value.
        let JsonEntries(entries) = serde_json::from_slice(body).map_err(|_| {
            ApiError::with_detail(Code::InvalidParameter, "the body is not a JSON object")
        })?;
        let mut params = Self::default();
        for (name, value) in entries.into_iter().take(MAX_PARAMETERS) {
            if let ParamValue::Text(text) = &value
                && text.len() > MAX_VALUE
            {
                return Err(ApiError::parameter(&name, "too long"));
            }
            params.add(Cow::Owned(name), value);
        }
        Ok(params)
    }

    fn add(&mut self, name: Cow<'a, str>, value: ParamValue<'a>) {
        let is_repeated = self.0.iter().any(|(given, _)| *given == name);
        let value = if is_repeated {
            ParamValue::Repeated
        } else {
            value
        };
        self.0.push((name, value));
    }
}

/// Why a piece of a query can't be decoded.
enum DecodeError {
    /// A plus: in forms it is a blank, in addresses and phone numbers it is meant.
    Plus,
    /// A broken escape, a byte beyond ASCII, or no UTF-8.
    Broken,
}

impl DecodeError {
    fn of(self, name: &str) -> ApiError {
        let what = match self {
            Self::Plus => "an unescaped + stands for a blank: write %2B",
            Self::Broken => "not percent-encoded UTF-8",
        };
        ApiError::parameter(name, what)
    }
}

/// The text of a piece of a query. Every byte must be well-formed: a library that lets a broken escape
/// pass as it is would let two readers see two values.
fn decode(piece: &str) -> Result<Cow<'_, str>, DecodeError> {
    // Nearly every piece means what it says. Counting, unlike searching, is done with a few wide comparisons.
    let stands_for_another = |byte: &&u8| !byte.is_ascii() || **byte == b'+' || **byte == b'%';
    if piece.as_bytes().iter().filter(stands_for_another).count() == 0 {
        return Ok(Cow::Borrowed(piece));
    }
    if piece.contains('+') {
        return Err(DecodeError::Plus);
    }
    if !piece.is_ascii() {
        return Err(DecodeError::Broken);
    }
    let mut decoded = Vec::with_capacity(piece.len());
    let mut chunks = piece.as_bytes().split(|byte| *byte == b'%');
    decoded.extend_from_slice(chunks.next().unwrap_or_default());
    for chunk in chunks {
        let (digits, rest) = chunk.split_at_checked(2).ok_or(DecodeError::Broken)?;
        decoded.push(hex(digits).ok_or(DecodeError::Broken)?);
        decoded.extend_from_slice(rest);
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| DecodeError::Broken)
}

/// The byte of two hexadecimal digits.
fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let [high, low] = *digits else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// The entries of a JSON object, repeated names included.
struct JsonEntries(Vec<(String, ParamValue<'static>)>);

impl<'de> Deserialize<'de> for JsonEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = JsonEntries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonEntries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(JsonEntries(entries))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

impl<'de> Deserialize<'de> for ParamValue<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = ParamValue<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(ParamValue::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut list = Some(Vec::new());
                while let Some(item) = items.next_element::<ParamValue<'static>>()? {
                    match (&mut list, item) {
                        (Some(list), ParamValue::Text(text)) => list.push(text.into_owned()),
                        (list, _) => *list = None,
                    }
                }
                Ok(list.map_or(ParamValue::Other, ParamValue::List))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map
                    .next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?
                    .is_some()
                {}
                Ok(ParamValue::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(ParamValue::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(ParamValue::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(ParamValue::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(ParamValue::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(ParamValue::Other)
            }
        }

        deserializer.deserialize_any(Any)
    }
}
