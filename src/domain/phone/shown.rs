//! Phone numbers as Engage shows them, compared with the one that was asked for.

use std::ops::RangeInclusive;

use phonenumber::country;
use serde::{Deserialize, Serialize};

use super::{Phone, calling_code_length, dialled, international};
use crate::domain::Shown;

/// How many digits a number has that is written without a calling code, or without `+` before it; more are two numbers.
const DIGITS: RangeInclusive<usize> = 6..=13;

/// One reading of a number that Engage shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShownPhone {
    /// With a calling code.
    International(Phone),
    /// Without one, as far as can be seen: its digits without the zeros before them.
    National(Box<str>),
}

impl ShownPhone {
    /// Reads a field, which may hold several numbers.
    pub fn read(text: &str, region: country::Id) -> Shown<Self> {
        let readings = |text: &str| Self::readings(text, region);
        match Shown::in_field(text, readings) {
            // Between two international numbers a blank may stand that stands within them too.
            Shown::Unreadable => Shown::in_field(&text.replace('+', ";+"), readings),
            shown => shown,
        }
    }

    /// Reads one number. Without `+` or `00` it may be a national number of any country, not only of the region.
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
        // Where the trunk prefix is another than a zero, or the digits begin with an international prefix.
        let of_region = Phone::from_valid_national(&dialled, region);
        let other = of_region.filter(|phone| !national.is(phone));
        let mut readings = vec![national];
        readings.extend(other.map(Self::International));
        readings
    }

    /// Whether it is the number.
    pub fn is(&self, asked: &Phone) -> bool {
        match self {
            Self::International(phone) => phone == asked,
            Self::National(shown) => {
                let digits = &asked.0[1..];
                let national = &digits[calling_code_length(digits).min(digits.len())..];
                national.trim_start_matches('0') == &**shown
                    || Phone::from_international(shown).as_ref() == Some(asked)
            }
        }
    }
}
