//! Engage's JSON read leniently: an object's keys in order, its values parsed only when used. Shared by
//! the client of Engage's API and the webhook reader.

use std::{borrow::Cow, fmt};

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::domain::{AnswerPath, Partial};

/// A JSON object. If a key is repeated, its first value counts.
pub(crate) struct Object<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Parses a body.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        serde_json::from_str(str::from_utf8(body).ok()?).ok()
    }

    /// The object in a value; `None` for any other value.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// The value under a key; `None` if missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        (value.get() != "null").then_some(value)
    }

    /// Every value under a key in any ASCII case, without nulls: for values that must not be hidden by another spelling
    /// or a repeated key.
    pub(crate) fn every(&self, key: &str) -> impl Iterator<Item = &'a RawValue> {
        let matches = move |(name, value): &&(Cow<'a, str>, &'a RawValue)| {
            name.eq_ignore_ascii_case(key) && value.get() != "null"
        };
        self.0.iter().filter(matches).map(|(_, value)| *value)
    }

    /// The value under the first of the keys that is present.
    pub(crate) fn first(&self, keys: &[&str]) -> Option<&'a RawValue> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The object under a key.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Object::of(self.get(key)?)
    }

    /// A string; numbers and booleans as written, because Engage sends digits as a string or as a number.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text(self.get(key)?)
    }

    /// Text that is neither missing nor blank.
    pub(crate) fn filled(&self, key: &str) -> Option<Box<str>> {
        let text = self.text(key)?;
        (!text.trim().is_empty()).then(|| text.into())
    }

    /// Whether the value is neither missing, null nor blank.
    pub(crate) fn is_filled(&self, key: &str) -> bool {
        let value = self.get(key);
        value.is_some_and(|value| text(value).is_none_or(|text| !text.trim().is_empty()))
    }

    /// An id: text or digits, not blank; not a boolean.
    pub(crate) fn id(&self, key: &str) -> Option<Box<str>> {
        let is_boolean = matches!(self.get(key)?.get(), "true" | "false");
        if is_boolean { None } else { self.filled(key) }
    }

    /// A boolean, which may be given as a string.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        flag(self.get(key)?)
    }

    /// An exact number, which may be given as a string.
    pub(crate) fn decimal(&self, key: &str) -> Option<Decimal> {
        decimal(&self.text(key)?)
    }
}

/// A boolean, which may be given as a string.
pub(crate) fn flag(value: &RawValue) -> Option<bool> {
    let text = text(value)?;
    let text = text.trim();
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A string, or a number or boolean as written.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => {
            let quoted = value.get();
            if quoted.contains('\\') {
                return serde_json::from_str(quoted).ok().map(Cow::Owned);
            }
            // A string without escapes is the text between the quotes.
            Some(Cow::Borrowed(quoted.get(1..quoted.len() - 1)?))
        }
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// An exact number with its decimals as written. One with too many digits is refused, not rounded.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    // The library accepts digit separators.
    if text.contains('_') {
        return None;
    }
    let Some((base, _)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str_exact(text).ok();
    };
    // `from_scientific` alone rounds a base that is too long.
    Decimal::from_str_exact(base).ok()?;
    Decimal::from_scientific(text).ok()
}

/// The values of an array; `None` for any other value.
pub(crate) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The objects of an array that contains nothing else.
pub(crate) fn objects(value: &RawValue) -> Option<Vec<Object<'_>>> {
    serde_json::from_str(value.get()).ok()
}

/// The elements of an array, `None` for each that is not an object; `None` for any other value.
pub(crate) fn elements(value: &RawValue) -> Option<Vec<Option<Object<'_>>>> {
    if let Some(objects) = objects(value) {
        return Some(objects.into_iter().map(Some).collect());
    }
    Some(list(value)?.into_iter().map(Object::of).collect())
}

/// Parses the elements of a list, collecting the paths of unreadable ones. The list has no spare capacity, because it
/// is cached.
pub(crate) fn readable<T, V>(
    values: Vec<V>,
    mut read: impl FnMut(V) -> Result<T, AnswerPath>,
) -> Partial<Vec<T>> {
    let mut all = Partial::from(Vec::with_capacity(values.len()));
    for value in values {
        match read(value) {
            Ok(item) => all.data.push(item),
            Err(path) => all.left_out.push(path),
        }
    }
    all.data.shrink_to_fit();
    all
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some(Key(key)) = map.next_key()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// A key, borrowed if it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_with_and_without_escapes() {
        for written in [
            r#""""#,
            r#""Björn 🦊""#,
            r#""a\"b\\c\/d\n""#,
            r#""\u00e5\ud83e\udd8a""#,
            r#""'{[null""#,
        ] {
            let value: &RawValue = serde_json::from_str(written).expect("JSON");
            let meant: String = serde_json::from_str(written).expect("a text");
            assert_eq!(text(value).as_deref(), Some(&*meant), "{written}");
        }
        for (written, meant) in [
            ("12.50", Some("12.50")),
            ("true", Some("true")),
            ("null", None),
            ("[\"a\"]", None),
            ("{\"a\":\"b\"}", None),
            // A lone surrogate.
            (r#""\ud83e""#, None),
        ] {
            let value: &RawValue = serde_json::from_str(written).expect("JSON");
            assert_eq!(text(value).as_deref(), meant, "{written}");
        }
    }
}
