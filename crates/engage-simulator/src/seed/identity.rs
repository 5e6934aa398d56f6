//! Generated phone numbers and national ids that satisfy the public rules for their form.
//!
//! Birth numbers 980 to 999 (Sweden) and 900 to 999 (Finland) are reserved for tests and temporary ids.

use std::fmt::Write as _;

use fastrand::Rng;

use crate::identifier::{hetu_check_character, luhn_digit};

pub(super) struct Identity {
    pub(super) national_id: String,
    pub(super) birth_day: String,
    pub(super) country_code: &'static str,
    pub(super) country: &'static str,
}

/// A phone number, unique by index up to ten million contacts.
pub(super) fn phone(index: usize) -> String {
    format!("+4670{:07}", (index * 7919 + 1_000_003) % 10_000_000)
}

/// A national id, unique by index up to 436,800 contacts: mostly personnummer, some samordningsnummer, some HETU.
pub(super) fn invent(rng: &mut Rng, index: usize) -> Identity {
    // Date and serial encode the index, so that no two contacts share a number.
    let slot = index / 20;
    let day = 1 + slot % 28;
    let month = 1 + slot / 28 % 12;
    let year = 1940 + slot / (28 * 12) % 65;
    let birth_day = format!("{year:04}-{month:02}-{day:02}");
    let serial = 980 + index % 20;
    let (country_code, country, national_id) = match rng.u32(..20) {
        0 => ("FI", "Suomi", hetu(year, month, day, serial)),
        1 | 2 => ("SE", "Sverige", swedish(year, month, day + 60, serial)),
        _ => ("SE", "Sverige", swedish(year, month, day, serial)),
    };
    Identity {
        national_id,
        birth_day,
        country_code,
        country,
    }
}

fn swedish(year: usize, month: usize, day: usize, serial: usize) -> String {
    let mut digits = format!("{year:04}{month:02}{day:02}{serial:03}");
    let check = luhn_digit(&digits[2..]);
    write!(digits, "{check}").expect("writing to a String does not fail");
    digits
}

fn hetu(year: usize, month: usize, day: usize, serial: usize) -> String {
    let birth = format!("{day:02}{month:02}{:02}", year % 100);
    let century = if year < 2000 { '-' } else { 'A' };
    let check = hetu_check_character(&birth, &format!("{serial:03}"));
    format!("{birth}{century}{serial:03}{check}")
}
