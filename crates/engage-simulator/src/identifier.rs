//! Identifiers of contacts: format checks and canonical forms.

use crate::settings::CustomKey;

/// An identifier in canonical form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Identifier {
    Email(String),
    NationalId(String),
    Phone(String),
    MemberNumber(String),
    ExternalId(String),
}

/// Parses an e-mail address, ignoring case.
pub(crate) fn email(text: &str) -> Option<Identifier> {
    let (local, domain) = text.split_once('@')?;
    let is_plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || c == '@');
    let is_email = is_plain(local)
        && is_plain(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.');
    is_email.then(|| Identifier::Email(text.to_lowercase()))
}

/// Parses a phone number with country code: `+` and digits.
pub(crate) fn phone(text: &str) -> Option<Identifier> {
    let digits = text.strip_prefix('+')?;
    let is_phone = (6..=15).contains(&digits.len()) && is_digits(digits);
    is_phone.then(|| Identifier::Phone(text.to_owned()))
}

/// Parses a personnummer, samordningsnummer or HETU. A number that may be a HETU or a samordningsnummer with a known
/// day is a HETU.
pub(crate) fn national_id(text: &str) -> Option<Identifier> {
    let is_samordningsnummer = |id: &String| &id[6..8] > "60";
    match (swedish_id(text), hetu(text)) {
        (Some(swedish), Some(hetu)) if is_samordningsnummer(&swedish) => Some(hetu),
        (swedish, hetu) => swedish.or(hetu),
    }
    .map(Identifier::NationalId)
}

/// Parses the value of an identifying attribute.
pub(crate) fn of_attribute(key: &str, value: &str) -> Option<Identifier> {
    match key {
        "email" => email(value),
        "mobilePhone" => phone(value),
        "socialSecurityNumber" => national_id(value),
        "memberNumber" => Some(Identifier::MemberNumber(value.to_owned())),
        "externalId" => Some(Identifier::ExternalId(value.to_owned())),
        _ => None,
    }
}

/// Parses the tenant's custom key; `None` if not configured.
pub(crate) fn custom_key(text: &str, key: CustomKey) -> Option<Identifier> {
    match key {
        CustomKey::Off => None,
        CustomKey::MemberNumber => Some(Identifier::MemberNumber(text.to_owned())),
        CustomKey::ExternalId => Some(Identifier::ExternalId(text.to_owned())),
    }
}

/// Parses a GUID in the form 8-4-4-4-12 into lower case.
pub(crate) fn guid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let is_hex = |group: &&str| group.bytes().all(|b| b.is_ascii_hexdigit());
    (lengths == [8, 4, 4, 4, 12] && groups.iter().all(is_hex)).then(|| text.to_ascii_lowercase())
}

/// The check digit of nine digits, weighted 2, 1, 2, ...
pub(crate) fn luhn_digit(nine: &str) -> u32 {
    let sum: u32 = nine
        .bytes()
        .enumerate()
        .map(|(index, byte)| {
            let product = u32::from(byte - b'0') * if index % 2 == 0 { 2 } else { 1 };
            product / 10 + product % 10
        })
        .sum();
    (10 - sum % 10) % 10
}

/// The check character of a HETU from its `DDMMYY` and `ZZZ`.
pub(crate) fn hetu_check_character(birth: &str, serial: &str) -> char {
    const CHARACTERS: &[u8; 31] = b"0123456789ABCDEFHJKLMNPRSTUVWXY";
    let number: usize = format!("{birth}{serial}").parse().unwrap_or_default();
    CHARACTERS[number % 31].into()
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Ten digits mean an age below a hundred years, unless the separator is `+`.
fn swedish_id(text: &str) -> Option<String> {
    let (birth, separator, last) = split_swedish(text)?;
    let short = &birth[birth.len() - 6..];
    if !is_date(&short[2..4], &short[4..6]) && !is_coordination_date(&short[2..4], &short[4..6]) {
        return None;
    }
    let nine = format!("{short}{}", &last[..3]);
    if luhn_digit(&nine).to_string() != last[3..] {
        return None;
    }
    let century = match (birth.len(), separator) {
        (8, _) => birth[..2].to_owned(),
        (_, Some('+')) => "19".to_owned(),
        // The year 26 still means 2026; from 27 on, two digits mean the century before.
        _ if &short[..2] <= "26" => "20".to_owned(),
        _ => "19".to_owned(),
    };
    Some(format!("{century}{short}{last}"))
}

fn split_swedish(text: &str) -> Option<(&str, Option<char>, &str)> {
    if !text.is_ascii() {
        return None;
    }
    let (birth, separator, last) = if let Some((birth, last)) = text.split_once(['-', '+']) {
        (birth, text[birth.len()..].chars().next(), last)
    } else {
        let (birth, last) = text.split_at(text.len().checked_sub(4)?);
        (birth, None, last)
    };
    let is_form = matches!(birth.len(), 6 | 8) && last.len() == 4;
    (is_form && is_digits(birth) && is_digits(last)).then_some((birth, separator, last))
}

fn hetu(text: &str) -> Option<String> {
    let text = text.to_ascii_uppercase();
    if text.len() != 11 || !text.is_ascii() {
        return None;
    }
    let (birth, century, serial) = (&text[..6], &text[6..7], &text[7..10]);
    let is_form = is_digits(birth)
        && "+-YXWVUABCDEF".contains(century)
        && is_digits(serial)
        && is_date(&birth[2..4], &birth[..2]);
    (is_form && text.ends_with(hetu_check_character(birth, serial))).then_some(text)
}

fn is_date(month: &str, day: &str) -> bool {
    let month: u8 = month.parse().unwrap_or_default();
    let day: u8 = day.parse().unwrap_or_default();
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

/// Whether it is the date of a samordningsnummer, with possibly unknown month and day.
fn is_coordination_date(month: &str, day: &str) -> bool {
    let month: u8 = month.parse().unwrap_or(u8::MAX);
    let day: u8 = day.parse().unwrap_or_default();
    month <= 12 && (60..=91).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_national_id_become_one() {
        let full = Some(Identifier::NationalId("198507099805".to_owned()));
        for text in ["198507099805", "8507099805", "850709-9805", "19850709-9805"] {
            assert_eq!(national_id(text), full, "{text}");
        }
    }

    #[test]
    fn malformed_national_ids_are_refused() {
        for text in [
            "198507099806",
            "8507099804",
            "131052-308A",
            "198513099805",
            "12345",
            "",
            "åäöåäöåäö",
        ] {
            assert_eq!(national_id(text), None, "{text}");
        }
    }

    #[test]
    fn samordningsnummer_and_hetu_are_national_ids() {
        for text in [
            "198507699802",
            "198500609808",
            "198502919809",
            "191212121212",
            "131052-308T",
            "131052-308t",
            "150390Y901C",
            "010203A9024",
        ] {
            assert!(national_id(text).is_some(), "{text}");
        }
    }

    #[test]
    fn phones_need_a_plus_and_digits() {
        assert!(phone("+46701740605").is_some());
        for text in ["0701740605", "46701740605", "+", "+46 70 174", "phone"] {
            assert_eq!(phone(text), None, "{text}");
        }
    }

    #[test]
    fn emails_need_two_plain_sides() {
        assert_eq!(email("A+Tag@Example.com"), email("a+tag@example.com"));
        for text in [
            "",
            "plain",
            "a@",
            "@example.com",
            "a b@example.com",
            "a@b@example.com",
        ] {
            assert_eq!(email(text), None, "{text}");
        }
    }
}
