//! What Engage shows of an identifier: three states, for "missing" and "there but unreadable" are judged differently.

use serde::{Deserialize, Serialize};

/// The most values that one field is read as.
const MAX_VALUES: usize = 8;

/// What is shown of something that identifies a contact.
///
/// A value may be written so that it can be read in more ways than one, and a field may hold more than one value: then
/// every reading counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown<T> {
    /// Nothing: the key is missing, or null, or its text blank.
    #[default]
    Absent,
    /// Something that can't be read.
    Unreadable,
    /// One reading.
    One(T),
    /// Several readings.
    Several(Box<[T]>),
}

impl<T> Shown<T> {
    /// What has these readings; without any it is unreadable.
    pub fn of(readings: Vec<T>) -> Self {
        let mut readings = readings;
        match (readings.pop(), readings.is_empty()) {
            (None, _) => Shown::Unreadable,
            (Some(only), true) => Shown::One(only),
            (Some(last), false) => {
                readings.push(last);
                Shown::Several(readings.into())
            }
        }
    }

    /// Every reading.
    pub fn readings(&self) -> &[T] {
        match self {
            Shown::Absent | Shown::Unreadable => &[],
            Shown::One(reading) => std::slice::from_ref(reading),
            Shown::Several(readings) => readings,
        }
    }

    /// The only reading.
    pub fn only(&self) -> Option<&T> {
        match self {
            Shown::One(reading) => Some(reading),
            Shown::Absent | Shown::Unreadable | Shown::Several(_) => None,
        }
    }

    /// Whether nothing is shown.
    pub fn is_absent(&self) -> bool {
        matches!(self, Shown::Absent)
    }

    /// What a field shows that may hold several values. Its text is read whole if it can be; else it is parted at
    /// semicolons, commas and line ends, then at slashes too, then at blanks too, and each piece must be readable.
    pub fn in_field(text: &str, read: impl Fn(&str) -> Vec<T>) -> Self {
        let whole = read(text);
        if !whole.is_empty() {
            return Shown::of(whole);
        }
        let is_end =
            |c: char| matches!(c, ';' | ',' | '|') || (c.is_control() && c.is_whitespace());
        let levels: [&dyn Fn(char) -> bool; 3] = [&is_end, &|c| is_end(c) || c == '/', &|c| {
            is_end(c) || c == '/' || c.is_whitespace()
        }];
        let parted = text.replace(" or ", ";").replace(" and ", ";");
        for separates in levels {
            let pieces: Vec<&str> = parted
                .split(separates)
                .filter(|piece| !piece.trim().is_empty())
                .take(MAX_VALUES + 1)
                .collect();
            let readings: Vec<Vec<T>> = pieces.iter().map(|piece| read(piece)).collect();
            let all_are_read = readings.iter().all(|readings| !readings.is_empty());
            if pieces.len() <= MAX_VALUES && all_are_read {
                return Shown::of(readings.into_iter().flatten().collect());
            }
        }
        Shown::Unreadable
    }
}

impl<T: AsRef<str>> Shown<T> {
    /// What the texts show once they are read. Where there are several, under one key, all must be read alike: which of
    /// them counts can't be known.
    pub fn read<R: PartialEq>(&self, read: impl Fn(&str) -> Shown<R>) -> Shown<R> {
        let Some((first, others)) = self.readings().split_first() else {
            return if self.is_absent() {
                Shown::Absent
            } else {
                Shown::Unreadable
            };
        };
        let first = read(first.as_ref());
        if others.iter().all(|other| read(other.as_ref()) == first) {
            first
        } else {
            Shown::Unreadable
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Shown;

    /// Reads digits.
    fn digits(text: &str) -> Vec<String> {
        let text = text.trim();
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.to_owned()).into_iter().collect()
    }

    #[test]
    fn a_field_is_read_whole_or_every_piece_of_it() {
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
            let shown = Shown::in_field(text, digits);
            assert_eq!(shown.readings(), readings, "{text:?}");
        }
        for text in ["", "x", "12;x", "12 x", "1;2;3;4;5;6;7;8;9"] {
            assert_eq!(Shown::in_field(text, digits), Shown::Unreadable, "{text:?}");
        }
    }

    #[test]
    fn texts_under_one_key_count_only_where_they_are_read_alike() {
        let read = |text: &str| Shown::of(digits(text));
        let several =
            |texts: &[&str]| Shown::Several(texts.iter().map(|t| (*t).to_owned()).collect());
        let one = Shown::One("12".to_owned());
        assert_eq!(Shown::<String>::Absent.read(read), Shown::Absent);
        assert_eq!(Shown::<String>::Unreadable.read(read), Shown::Unreadable);
        assert_eq!(Shown::One(" 12".to_owned()).read(read), one);
        assert_eq!(several(&["12", " 12"]).read(read), one);
        assert_eq!(several(&["12", "34"]).read(read), Shown::Unreadable);
        assert_eq!(several(&["12", "x"]).read(read), Shown::Unreadable);
    }
}
