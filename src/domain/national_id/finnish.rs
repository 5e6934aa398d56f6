//! Henkilötunnus.

use jiff::civil::Date;

use super::{CheckDigit, FIRST_YEAR, is_digits};

/// Check characters by remainder (DVV: the personal identity code).
pub(super) const CHECKS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
/// Signs of the century, including those of the reform of 2023 (DVV: reform of the personal identity code).
const SIGNS: &str = "+-UVWXYABCDEF";

/// Parses `DDMMYYCZZZQ`: date, sign of the century, individual number, check character.
pub(super) fn read(text: &str, check: CheckDigit, today: Date) -> Option<String> {
    let (date, sign, individual, check_character) = parts(text)?;
    let century: i16 = match sign {
        "+" => 1800,
        "-" | "U" | "V" | "W" | "X" | "Y" => 1900,
        "A" | "B" | "C" | "D" | "E" | "F" => 2000,
        _ => return None,
    };
    let year = century + date[4..].parse::<i16>().ok()?;
    let (month, day) = (date[2..4].parse().ok()?, date[..2].parse().ok()?);
    let is_birth =
        year >= FIRST_YEAR && Date::new(year, month, day).is_ok_and(|born| born <= today);
    let has_form = CHECKS.contains(&check_character);
    let is_right = check == CheckDigit::Ignored || has_check(date, individual, check_character);
    (is_birth && has_form && is_right).then(|| text.to_owned())
}

/// Every code that the text may mean. A text without a sign may be of any century, but only if the check character is
/// right, because ten digits are more likely to be Swedish.
pub(super) fn readings(text: &str) -> Vec<String> {
    let Some((date, sign, individual, check_character)) = parts(text) else {
        return Vec::new();
    };
    let is_day =
        matches!(date[..2].parse(), Ok(1..=31_u8)) && matches!(date[2..4].parse(), Ok(1..=12_u8));
    if !is_day || !CHECKS.contains(&check_character) {
        return Vec::new();
    }
    if !sign.is_empty() {
        let is_sign = SIGNS.contains(sign);
        return is_sign.then(|| text.to_owned()).into_iter().collect();
    }
    if !has_check(date, individual, check_character) {
        return Vec::new();
    }
    let check_character = char::from(check_character);
    let with_sign = |sign| format!("{date}{sign}{individual}{check_character}");
    SIGNS.chars().map(with_sign).collect()
}

/// Date (six digits), sign (may be empty), individual number (three digits), check character.
fn parts(text: &str) -> Option<(&str, &str, &str, u8)> {
    let (date, rest) = text.split_at_checked(6)?;
    let (rest, check_character) = rest.split_at_checked(rest.len().checked_sub(1)?)?;
    let (sign, individual) = rest.split_at_checked(rest.len().checked_sub(3)?)?;
    let is_form = sign.len() <= 1 && is_digits(date) && is_digits(individual);
    is_form.then_some((date, sign, individual, check_character.as_bytes()[0]))
}

/// Whether the check character is right.
fn has_check(date: &str, individual: &str, check_character: u8) -> bool {
    let remainder = format!("{date}{individual}")
        .parse::<usize>()
        .map(|number| number % CHECKS.len());
    remainder.is_ok_and(|remainder| CHECKS[remainder] == check_character)
}
