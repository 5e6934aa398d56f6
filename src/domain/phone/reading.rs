//! Phone numbers in Engage's data, for comparison with a requested one.

use std::ops::RangeInclusive;

use phonenumber::country;
use serde::{Deserialize, Serialize};

use super::{Phone, calling_code_length, dialled, international};
use crate::domain::field_value::FieldValue;

/// Number of digits without `+`, with or without a calling code; more are two numbers.
const DIGITS: RangeInclusive<usize> = 6..=13;

/// A reading of a phone number in Engage's data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PhoneReading {
    /// With a calling code.
    International(Phone),
    /// Presumably without a calling code: the digits without leading zeros.
    National(Box<str>),
}

impl PhoneReading {
    /// Parses a field, which may contain several numbers.
    pub fn read(text: &str, region: country::Id) -> FieldValue<Self> {
        let readings = |text: &str| Self::readings(text, region);
        match FieldValue::parse_list(text, readings) {
            // Two international numbers may be separated by blanks, which also occur within them.
            FieldValue::Unreadable => FieldValue::parse_list(&text.replace('+', ";+"), readings),
            value => value,
        }
    }

    /// Parses one number. Without `+` or `00` it may be a national number of any country.
    fn readings(text: &str, region: country::Id) -> Vec<Self> {
        let Some(dialled) = dialled(text) else {
            return Vec::new();
        };
        if let Some(digits) = international(&dialled) {
            let phone = Phone::from_international(digits);
            return phone.map(Self::International).into_iter().collect();
        }
        let digits = dialled.trim_start_matches('0');
        if !DIGITS.contains(&digits.len()) {
            return Vec::new();
        }
        let national = Self::National(digits.into());
        // This adds a reading in regions with a trunk prefix other than zero, and for digits that begin with an
        // international prefix.
        let of_region = Phone::from_valid_national(&dialled, region);
        let other = of_region.filter(|phone| !national.is(phone));
        let mut readings = vec![national];
        readings.extend(other.map(Self::International));
        readings
    }

    /// Whether the reading means this number.
    pub fn is(&self, phone: &Phone) -> bool {
        match self {
            Self::International(own) => own == phone,
            Self::National(own) => {
                let digits = &phone.0[1..];
                let national = &digits[calling_code_length(digits).min(digits.len())..];
                national.trim_start_matches('0') == &**own
                    || Phone::from_international(own).as_ref() == Some(phone)
            }
        }
    }
}
