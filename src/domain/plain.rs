//! Compact, lossless serde form of other crates' values, for storing a contact's parts in memory and in the shared
//! tier. Used as `#[serde(with = "plain")]`. Not used for responses.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

/// A value with a plain form.
pub trait PlainForm: Sized {
    /// The form.
    type Form: Serialize + for<'a> Deserialize<'a>;

    /// Converts to the plain form.
    fn to_plain(&self) -> Self::Form;

    /// Converts from the plain form; `None` if it is invalid.
    fn from_plain(form: Self::Form) -> Option<Self>;
}

/// Serializes the plain form.
pub fn serialize<T: PlainForm, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    value.to_plain().serialize(to)
}

/// Deserializes the plain form.
pub fn deserialize<'de, T: PlainForm, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let form = T::Form::deserialize(from)?;
    T::from_plain(form).ok_or_else(|| D::Error::custom("invalid plain form"))
}

impl PlainForm for Timestamp {
    /// Seconds and nanoseconds.
    type Form = (i64, i32);

    fn to_plain(&self) -> Self::Form {
        (self.as_second(), self.subsec_nanosecond())
    }

    fn from_plain((seconds, nanoseconds): Self::Form) -> Option<Self> {
        Timestamp::new(seconds, nanoseconds).ok()
    }
}

impl PlainForm for Decimal {
    /// Includes the scale: `1.50` stays distinct from `1.5`.
    type Form = [u8; 16];

    fn to_plain(&self) -> Self::Form {
        self.serialize()
    }

    fn from_plain(form: Self::Form) -> Option<Self> {
        Some(Decimal::deserialize(form))
    }
}

impl PlainForm for Vec<(Box<str>, Box<RawValue>)> {
    /// The verbatim JSON by key.
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

impl<T: PlainForm> PlainForm for Option<T> {
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
