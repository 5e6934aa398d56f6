//! Reads the parameters of a query or a JSON body, strictly: no repeated names, no lenient decoding.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    error::{ApiError, Code},
    json_members::JsonMembers,
};

/// The longest value, in bytes: as sent in a query, decoded in a body.
const MAX_VALUE: usize = 1024;
/// How many parameters are read. There are fewer valid names, so among this many at least one is unknown or repeated;
/// parameters beyond them can't change which of these is refused first.
pub(super) const MAX_PARAMETERS: usize = 32;

/// The parameters in the order of the request.
#[derive(Debug, Default)]
pub(super) struct Params<'a>(pub(super) Vec<(Cow<'a, str>, ParamValue<'a>)>);

/// The value of a parameter.
#[derive(Debug)]
pub(super) enum ParamValue<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A list, in a body.
    List(Vec<String>),
    /// A whole number, in a body.
    Number(u64),
    /// A JSON value of another type.
    Other,
    /// Any value after the first of the same name.
    Repeated,
}

impl ParamValue<'_> {
    /// A whole number: a number in a body, or its digits.
    pub(super) fn whole_number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Self::Text(_) | Self::List(_) | Self::Other | Self::Repeated => None,
        }
    }
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
            let name = decode(name).map_err(|error| error.of_parameter("a parameter"))?;
            if value.len() > MAX_VALUE {
                return Err(ApiError::parameter(&name, "too long"));
            }
            let value = decode(value).map_err(|error| error.of_parameter(&name))?;
            params.add(name, ParamValue::Text(value));
        }
        Ok(params)
    }

    /// The members of a JSON object, whose values are not parsed. A repeated name is an error, among the first
    /// `MAX_PARAMETERS`.
    pub(super) fn members(body: &[u8]) -> Result<Vec<(String, &RawValue)>, ApiError> {
        let members = object(body)?;
        for (index, (name, _)) in members.iter().enumerate().take(MAX_PARAMETERS) {
            if members[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(ApiError::parameter(name, "repeated"));
            }
        }
        Ok(members)
    }

    /// The parameters of a JSON body.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, ApiError> {
        let members = object(body)?;
        let mut params = Self::default();
        for (name, value) in members.into_iter().take(MAX_PARAMETERS) {
            if let ParamValue::Text(text) = &value
                && text.len() > MAX_VALUE
            {
                return Err(ApiError::parameter(&name, "too long"));
            }
            params.add(Cow::Owned(name), value);
        }
        Ok(params)
    }

    pub(super) fn add(&mut self, name: Cow<'a, str>, value: ParamValue<'a>) {
        let is_repeated = self.0.iter().any(|(earlier, _)| *earlier == name);
        let value = if is_repeated {
            ParamValue::Repeated
        } else {
            value
        };
        self.0.push((name, value));
    }
}

/// The members of the JSON object that a body must be.
fn object<'a, V: Deserialize<'a>>(body: &'a [u8]) -> Result<Vec<(String, V)>, ApiError> {
    match serde_json::from_slice(body) {
        Ok(JsonMembers(members)) => Ok(members),
        // serde's message would quote the input.
        Err(_) => Err(ApiError::with_detail(
            Code::InvalidParameter,
            "the body is not a JSON object",
        )),
    }
}

/// Why a name or value of a query can't be decoded.
enum DecodeError {
    /// An unescaped plus: form encoding reads it as a space, senders of addresses and phone numbers mean a plus.
    Plus,
    /// A broken escape, a byte beyond ASCII, or invalid UTF-8.
    Broken,
}

impl DecodeError {
    fn of_parameter(self, name: &str) -> ApiError {
        let what = match self {
            Self::Plus => "an unescaped + means a space: write %2B",
            Self::Broken => "not percent-encoded UTF-8",
        };
        ApiError::parameter(name, what)
    }
}

/// Decodes a name or value of a query. A broken escape is an error: a lenient decoder would let two readers see two
/// values.
fn decode(text: &str) -> Result<Cow<'_, str>, DecodeError> {
    // Nearly every input needs no decoding. Counting, unlike searching, is vectorized.
    let is_special = |byte: &&u8| !byte.is_ascii() || **byte == b'+' || **byte == b'%';
    if text.as_bytes().iter().filter(is_special).count() == 0 {
        return Ok(Cow::Borrowed(text));
    }
    if text.contains('+') {
        return Err(DecodeError::Plus);
    }
    if !text.is_ascii() {
        return Err(DecodeError::Broken);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut chunks = text.as_bytes().split(|byte| *byte == b'%');
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

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(ParamValue::Number(number))
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
