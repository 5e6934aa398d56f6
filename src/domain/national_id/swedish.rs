//! Personnummer, samordningsnummer, and reserve numbers.

use jiff::civil::Date;

use super::{CheckDigit, FIRST_YEAR, is_digits};

/// Offset of the day of birth in a samordningsnummer (Skatteverket: samordningsnummer).
const COORDINATION_DAYS: i8 = 60;
/// Letters that replace the first of the last four digits in a reserve number.
const RESERVE_LETTERS: &[u8] = b"TRSUWXJKLMN";

/// A parsed number.
pub(super) struct Swedish {
    /// Twelve digits.
    pub(super) canonical: String,
    pub(super) is_coordination_number: bool,
}

/// The month and the day of a birth.
#[derive(Clone, Copy)]
struct BirthDay {
    month: i8,
    /// Without the offset of a samordningsnummer.
    day: i8,
    is_coordination_number: bool,
}

/// Parses ten or twelve digits, optionally with `-` or `+` before the last four, into twelve.
pub(super) fn read(text: &str, check: CheckDigit, today: Date) -> Option<Swedish> {
    let (date, turned_100, number) = parts(text)?;
    if !is_digits(date) || !is_digits(number) {
        return None;
    }
    let (year, born) = birth(date, turned_100, today)?;
    let month_and_day = &date[date.len() - 4..];
    let canonical = format!("{year:04}{month_and_day}{number}");
    let is_right = check == CheckDigit::Ignored || has_luhn_check(&canonical[2..]);
    is_right.then_some(Swedish {
        canonical,
        is_coordination_number: born.is_coordination_number,
    })
}

/// Whether it has the form of a reserve number and a date of birth.
pub(super) fn is_reserve_number(text: &str, today: Date) -> bool {
    let Some((date, turned_100, number)) = parts(text) else {
        return false;
    };
    is_digits(date)
        && RESERVE_LETTERS.contains(&number.as_bytes()[0])
        && is_digits(&number[1..])
        && birth(date, turned_100, today).is_some()
}

/// Every number that the text may mean, in twelve digits.
pub(super) fn readings(text: &str) -> Vec<String> {
    let Some((date, turned_100, number)) = parts(text) else {
        return Vec::new();
    };
    if !is_digits(date) || !is_digits(number) {
        return Vec::new();
    }
    match date.len() {
        8 => vec![format!("{date}{number}")],
        6 => {
            let centuries = if turned_100 { [18, 19] } else { [19, 20] };
            let of = |century| format!("{century}{date}{number}");
            centuries.map(of).into()
        }
        _ => Vec::new(),
    }
}

/// Splits the text into the date, whether `+` follows it, and the last four characters.
fn parts(text: &str) -> Option<(&str, bool, &str)> {
    let (head, number) = text.split_at_checked(text.len().checked_sub(4)?)?;
    Some(match head.strip_suffix('+') {
        Some(date) => (date, true, number),
        None => (head.strip_suffix('-').unwrap_or(head), false, number),
    })
}

/// The birth that six or eight digits mean; `None` if impossible.
///
/// In a samordningsnummer unknown months are 00 and unknown days 60, and the day need not exist in the month
/// (Skatteverket: samordningsnummer, and its published test numbers).
fn birth(date: &str, turned_100: bool, today: Date) -> Option<(i16, BirthDay)> {
    let (year, month_and_day) = date.split_at_checked(date.len().checked_sub(4)?)?;
    let month: i8 = month_and_day[..2].parse().ok()?;
    let written_day: i8 = month_and_day[2..].parse().ok()?;
    let is_coordination_number = written_day >= COORDINATION_DAYS;
    let born = BirthDay {
        month,
        day: written_day % COORDINATION_DAYS,
        is_coordination_number,
    };
    let year = match year.len() {
        2 => full_year(year.parse().ok()?, born, turned_100, today),
        // The century is explicit, so the sign is ignored.
        4 => year.parse().ok()?,
        _ => return None,
    };
    let is_day = if is_coordination_number {
        month <= 12 && born.day <= 31
    } else {
        Date::new(year, month, born.day).is_ok()
    };
    (is_day && year >= FIRST_YEAR && !is_future(year, born, today)).then_some((year, born))
}

/// Returns the year that two digits mean: the latest birth that is not in the future; with the sign, the latest whose
/// hundredth birthday is this year or earlier.
fn full_year(two_digits: i16, born: BirthDay, turned_100: bool, today: Date) -> i16 {
    let this_century = today.year() - today.year() % 100 + two_digits;
    let is_too_late = |year| {
        if turned_100 {
            today.year() - year < 100
        } else {
            is_future(year, born, today)
        }
    };
    let mut year = this_century;
    while is_too_late(year) {
        year -= 100;
    }
    year
}

/// Whether the day is after `today`. Unknown months and days are zero, so within this year they are never after.
fn is_future(year: i16, born: BirthDay, today: Date) -> bool {
    (year, born.month, born.day) > (today.year(), today.month(), today.day())
}

/// Whether the last digit is the right check digit: weights 2, 1, 2, …, the sum of the products' digits is a multiple
/// of ten (Skatteverket: personnummer).
pub(super) fn has_luhn_check(ten_digits: &str) -> bool {
    let products = ten_digits.bytes().enumerate().map(|(place, byte)| {
        let digit = u32::from(byte - b'0');
        let product = if place % 2 == 0 { digit * 2 } else { digit };
        product / 10 + product % 10
    });
    products.sum::<u32>() % 10 == 0
}
