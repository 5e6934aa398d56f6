//! The value of an identifier's field in Engage's data. "Missing" and "unreadable" are distinct, because they are
//! judged differently.

use serde::{Deserialize, Serialize};

/// Maximum number of values in one field.
const MAX_VALUES: usize = 8;

/// The value of a field that identifies a contact.
///
/// A value may have several readings, and a field several values; every reading counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum FieldValue<T> {
    /// The key is missing, null or blank.
    #[default]
    Absent,
    /// Present but unreadable.
    Unreadable,
    /// One reading.
    One(T),
    /// Several readings.
    Several(Box<[T]>),
}

impl<T> FieldValue<T> {
    /// A value with these readings; without any it is unreadable.
    pub fn of(readings: Vec<T>) -> Self {
        let mut readings = readings;
        match (readings.pop(), readings.is_empty()) {
            (None, _) => FieldValue::Unreadable,
            (Some(only), true) => FieldValue::One(only),
            (Some(last), false) => {
                readings.push(last);
                FieldValue::Several(readings.into())
            }
        }
    }

    /// Every reading.
    pub fn readings(&self) -> &[T] {
        match self {
            FieldValue::Absent | FieldValue::Unreadable => &[],
            FieldValue::One(reading) => std::slice::from_ref(reading),
            FieldValue::Several(readings) => readings,
        }
    }

    /// The only reading.
    pub fn only(&self) -> Option<&T> {
        match self {
            FieldValue::One(reading) => Some(reading),
            FieldValue::Absent | FieldValue::Unreadable | FieldValue::Several(_) => None,
        }
    }

    /// Whether the field is absent.
    pub fn is_absent(&self) -> bool {
        matches!(self, FieldValue::Absent)
    }

    /// Whether the field is present and unreadable.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, FieldValue::Unreadable)
    }

    /// Parses a field that may have several values. If the whole text is unreadable it is split at semicolons, commas,
    /// vertical bars, tabs, line ends and the words `or` and `and`, then at slashes too, then at blanks too; each piece
    /// must be readable, and there may be at most eight.
    pub fn parse_list(text: &str, read: impl Fn(&str) -> Vec<T>) -> Self {
        let whole = read(text);
        if !whole.is_empty() {
            return FieldValue::of(whole);
        }
        let is_end =
            |c: char| matches!(c, ';' | ',' | '|') || (c.is_control() && c.is_whitespace());
        let levels: [&dyn Fn(char) -> bool; 3] = [&is_end, &|c| is_end(c) || c == '/', &|c| {
            is_end(c) || c == '/' || c.is_whitespace()
        }];
        let joined = text.replace(" or ", ";").replace(" and ", ";");
        for separates in levels {
            let pieces: Vec<&str> = joined
                .split(separates)
                .filter(|piece| !piece.trim().is_empty())
                .take(MAX_VALUES + 1)
                .collect();
            let readings: Vec<Vec<T>> = pieces.iter().map(|piece| read(piece)).collect();
            let all_are_read = readings.iter().all(|readings| !readings.is_empty());
            if pieces.len() <= MAX_VALUES && all_are_read {
                return FieldValue::of(readings.into_iter().flatten().collect());
            }
        }
        FieldValue::Unreadable
    }
}

impl<T: AsRef<str>> FieldValue<T> {
    /// Parses the texts. Several texts under one key must have the same value, because it is unknown which one counts.
    pub fn read<R: PartialEq>(&self, read: impl Fn(&str) -> FieldValue<R>) -> FieldValue<R> {
        let Some((first, others)) = self.readings().split_first() else {
            return if self.is_absent() {
                FieldValue::Absent
            } else {
                FieldValue::Unreadable
            };
        };
        let first = read(first.as_ref());
        if others.iter().all(|other| read(other.as_ref()) == first) {
            first
        } else {
            FieldValue::Unreadable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FieldValue;

    /// Parses digits.
    fn digits(text: &str) -> Vec<String> {
        let text = text.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.to_owned()).into_iter().collect()
    }

    #[test]
    fn field_is_read_whole_or_in_pieces() {
        for (text, readings) in [
            ("12", &["12"][..]),
            (" 12 ", &["12"]),
            ("12;34", &["12", "34"]),
            ("12, 34 ;", &["12", "34"]),
            ("12\r\n34", &["12", "34"]),
            ("12/34", &["12", "34"]),
            ("12 / 34 56", &["12", "34", "56"]),
            ("12 or 34", &["12", "34"]),
            ("12 and 34", &["12", "34"]),
        ] {
            let value = FieldValue::parse_list(text, digits);
            assert_eq!(value.readings(), readings, "{text:?}");
        }
        for text in ["", "x", "12;x", "12 x", "1;2;3;4;5;6;7;8;9"] {
            assert_eq!(
                FieldValue::parse_list(text, digits),
                FieldValue::Unreadable,
                "{text:?}"
            );
        }
    }

    #[test]
    fn repeated_key_counts_only_if_values_agree() {
        let read = |text: &str| FieldValue::of(digits(text));
        let several =
            |texts: &[&str]| FieldValue::Several(texts.iter().map(|t| (*t).to_owned()).collect());
        let one = FieldValue::One("12".to_owned());
        assert_eq!(FieldValue::<String>::Absent.read(read), FieldValue::Absent);
        assert_eq!(
            FieldValue::<String>::Unreadable.read(read),
            FieldValue::Unreadable
        );
        assert_eq!(FieldValue::One(" 12".to_owned()).read(read), one);
        assert_eq!(several(&["12", " 12"]).read(read), one);
        assert_eq!(several(&["12", "34"]).read(read), FieldValue::Unreadable);
        assert_eq!(several(&["12", "x"]).read(read), FieldValue::Unreadable);
    }
}
