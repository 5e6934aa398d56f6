//! How values of other crates are written where a contact's parts are packed for memory: short, and read back exactly
//! as they were. Used as `#[serde(with = "plain")]`; answers are rendered from types of their own.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

/// A value with a plain form.
pub trait Plain: Sized {
    /// What is written of it.
    type Form: Serialize + for<'a> Deserialize<'a>;

    /// Its plain form.
    fn to_plain(&self) -> Self::Form;

    /// The value of that form; `None` where there is none.
    fn from_plain(form: Self::Form) -> Option<Self>;
}

/// Writes the plain form.
pub fn serialize<T: Plain, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.to_plain().serialize(to)
}

/// Reads the plain form.
pub fn deserialize<'de, T: Plain, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let form = T::Form::deserialize(from)?;
    T::from_plain(form).ok_or_else(|| D::Error::custom("no value has that form"))
}

impl Plain for Timestamp {
    /// Seconds and nanoseconds.
    type Form = (i64, i32);

    fn to_plain(&self) -> Self::Form {
        (self.as_second(), self.subsec_nanosecond())
    }

    fn from_plain((seconds, nanoseconds): Self::Form) -> Option<Self> {
        Timestamp::new(seconds, nanoseconds).ok()
    }
}

impl Plain for Decimal {
    /// With its scale: `1.50` is not written as `1.5`.
    type Form = [u8; 16];

    fn to_plain(&self) -> Self::Form {
        self.serialize()
    }

    fn from_plain(form: Self::Form) -> Option<Self> {
        Some(Decimal::deserialize(form))
    }
}

impl Plain for Vec<(Box<str>, Box<RawValue>)> {
    /// The JSON as it was written, by its key.
    type Form = Vec<(Box<str>, String)>;

    fn to_plain(&self) -> Self::Form {
        let pair = |(key, value): &(Box<str>, Box<RawValue>)| (key.clone(), value.get().to_owned());
        self.iter().map(pair).collect()
    }

    fn from_plain(form: Self::Form) -> Option<Self> {
        let value = |(key, text)| Some((key, RawValue::from_string(text).ok()?));
        form.into_iter().map(value).collect()
    }
}

impl<T: Plain> Plain for Option<T> {
    type Form = Option<T::Form>;

    fn to_plain(&self) -> Self::Form {
        self.as_ref().map(T::to_plain)
    }

    fn from_plain(form: Self::Form) -> Option<Self> {
        match form {
            None => Some(None),
            Some(form) => T::from_plain(form).map(Some),
        }
    }
}
