//! Engage's JSON read leniently: an object's keys in order, its values parsed only where they are used. A leaf that the
//! client of Engage's API and the reader of its webhooks share.

use std::{borrow::Cow, fmt};

use rust_decimal::Decimal;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::domain::{AnswerPath, Readable};

/// An object of Engage's. Of a repeated key the first counts.
pub(crate) struct Object<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// The object in a body.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        serde_json::from_str(str::from_utf8(body).ok()?).ok()
    }

    /// The object in a value; `None` for anything else.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        serde_json::from_str(value.get()).ok()
    }

    /// The value under a key; `None` where it is missing or null.
    pub(crate) fn get(&self, key: &str) -> Option<&'a RawValue> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        (value.get() != "null").then_some(value)
    }

    /// Every value under a key, whatever its ASCII case: for what must not hide behind another spelling or a repetition.
    /// Null is nothing.
    pub(crate) fn every(&self, key: &str) -> impl Iterator<Item = &'a RawValue> {
        let is_meant = move |(name, value): &&(Cow<'a, str>, &'a RawValue)| {
            name.eq_ignore_ascii_case(key) && value.get() != "null"
        };
        self.0.iter().filter(is_meant).map(|(_, value)| *value)
    }

    /// The value under the first of the keys that is present.
    pub(crate) fn first(&self, keys: &[&str]) -> Option<&'a RawValue> {
        keys.iter().find_map(|key| self.get(key))
    }

    /// The object under a key.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Object::of(self.get(key)?)
    }

    /// Text; numbers and booleans as they are written, since digits may come either way.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'a, str>> {
        text(self.get(key)?)
    }

    /// Text that says something: neither missing nor blank.
    pub(crate) fn filled(&self, key: &str) -> Option<Box<str>> {
        let text = self.text(key)?;
        (!text.trim().is_empty()).then(|| text.into())
    }

    /// Whether something is there: neither missing, null nor blank text.
    pub(crate) fn is_filled(&self, key: &str) -> bool {
        let value = self.get(key);
        value.is_some_and(|value| text(value).is_none_or(|text| !text.trim().is_empty()))
    }

    /// An id: text or digits that say something. A boolean is none.
    pub(crate) fn id(&self, key: &str) -> Option<Box<str>> {
        let is_boolean = matches!(self.get(key)?.get(), "true" | "false");
        if is_boolean { None } else { self.filled(key) }
    }

    /// A boolean, also one written as text.
    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        flag(self.get(key)?)
    }

    /// An exact number, also one written as text.
    pub(crate) fn decimal(&self, key: &str) -> Option<Decimal> {
        decimal(&self.text(key)?)
    }
}

/// A boolean, also one written as text.
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

/// Text; numbers and booleans as they are written.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    match value.get().as_bytes().first()? {
        b'"' => {
            let quoted = value.get();
            if quoted.contains('\\') {
                return serde_json::from_str(quoted).ok().map(Cow::Owned);
            }
            // Nothing is escaped: it is what stands between the quotes.
            Some(Cow::Borrowed(quoted.get(1..quoted.len() - 1)?))
        }
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(value.get())),
    }
}

/// An exact number: the decimals that were written stay. One with more digits than can be kept is not
/// rounded but none.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    // Digits that the library lets be grouped.
    if text.contains('_') {
        return None;
    }
    let Some((base, _)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str_exact(text).ok();
    };
    // Alone, `from_scientific` rounds a base that is too long.
    Decimal::from_str_exact(base).ok()?;
    Decimal::from_scientific(text).ok()
}

/// The values of an array; `None` for anything else.
pub(crate) fn list(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The objects of an array that holds nothing else.
pub(crate) fn objects(value: &RawValue) -> Option<Vec<Object<'_>>> {
    serde_json::from_str(value.get()).ok()
}

/// The elements of an array, of which one that is no object is `None`; `None` for anything else.
pub(crate) fn elements(value: &RawValue) -> Option<Vec<Option<Object<'_>>>> {
    if let Some(objects) = objects(value) {
        return Some(objects.into_iter().map(Some).collect());
    }
    Some(list(value)?.into_iter().map(Object::of).collect())
}

/// What can be read of a list's elements, in no more room than it takes: what is read is held for long.
pub(crate) fn readable<T, V>(
    values: Vec<V>,
    mut read: impl FnMut(V) -> Result<T, AnswerPath>,
) -> Readable<Vec<T>> {
    let mut all = Readable::from(Vec::with_capacity(values.len()));
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

/// A key, borrowed where nothing in it is escaped.
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
    fn a_text_is_what_was_written_whether_anything_in_it_is_escaped_or_not() {
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
            // Half of a character is none.
            (r#""\ud83e""#, None),
        ] {
            let value: &RawValue = serde_json::from_str(written).expect("JSON");
            assert_eq!(text(value).as_deref(), meant, "{written}");
        }
    }
}
