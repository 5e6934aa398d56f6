//! Content codings and media types: those that a caller accepts (RFC 9110, 12.5.3), and those of a request's body.

/// The largest weight, in thousandths.
const MAX_WEIGHT: u16 = 1000;

/// The weights that `Accept-Encoding` gives.
#[derive(Default)]
struct Weights {
    gzip: Option<u16>,
    identity: Option<u16>,
    /// Of every coding that is not named (`*`).
    others: Option<u16>,
}

/// Whether `Accept-Encoding` prefers gzip to identity; equal weights count as gzip. A malformed weight counts as zero.
pub(super) fn prefers_gzip<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let mut weights = Weights::default();
    for member in values.flat_map(|value| value.split(',')) {
        weights.add(member);
    }
    let gzip = weights.gzip.or(weights.others).unwrap_or(0);
    // An identity that is not named is the fallback, not a preference.
    let identity = weights.identity.or(weights.others).unwrap_or(0);
    gzip > 0 && gzip >= identity
}

impl Weights {
    fn add(&mut self, member: &str) {
        let (name, weight) = match member.split_once(';') {
            None => (member, Some(MAX_WEIGHT)),
            Some((name, weight)) => (name, self::weight(weight.trim())),
        };
        let name = name.trim();
        let slot = if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            &mut self.gzip
        } else if name.eq_ignore_ascii_case("identity") {
            &mut self.identity
        } else if name == "*" {
            &mut self.others
        } else {
            return;
        };
        let weight = weight.unwrap_or(0);
        // Of contradicting weights the smaller one counts.
        *slot = Some(slot.map_or(weight, |other| other.min(weight)));
    }
}

/// A weight (RFC 9110, 12.4.2) in thousandths.
fn weight(text: &str) -> Option<u16> {
    let value = text.strip_prefix(['q', 'Q'])?.strip_prefix('=')?;
    let (whole, rest) = value.split_at_checked(1)?;
    let digits = match rest.strip_prefix('.') {
        Some(digits) => digits,
        None if rest.is_empty() => "",
        None => return None,
    };
    if digits.len() > 3 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths = digits.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = thousandths.fold(0, |sum, digit| 10 * sum + u16::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(MAX_WEIGHT),
        _ => None,
    }
}

/// Whether a body of this `Content-Type` is JSON in UTF-8. JSON defines no parameters (RFC 8259, 11); only a charset of
/// UTF-8 is accepted.
pub(super) fn is_json(content_type: &str) -> bool {
    let (essence, mut parameters) = match content_type.split_once(';') {
        None => (content_type, ""),
        Some(parts) => parts,
    };
    if !essence.trim().eq_ignore_ascii_case("application/json") {
        return false;
    }
    loop {
        parameters = parameters.trim_start_matches([' ', '\t']);
        if parameters.is_empty() {
            return true;
        }
        let Some((name, value, rest)) = parameter(parameters) else {
            return false;
        };
        let is_utf8 = value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8");
        if !name.eq_ignore_ascii_case("charset") || !is_utf8 {
            return false;
        }
        parameters = rest.strip_prefix(';').unwrap_or(rest);
    }
}

/// The first parameter's name and value, and the text after it (RFC 9110, 5.6.6).
fn parameter(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"')?,
        None => rest.split_at(rest.find([';', ' ', '\t']).unwrap_or(rest.len())),
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_whole = !name.is_empty() && name.bytes().all(is_token);
    let is_separate = rest.is_empty() || rest.starts_with(';');
    (is_whole && is_separate).then_some((name, value, rest))
}

/// Whether a body of this `Content-Encoding` is not encoded.
pub(super) fn is_identity(content_encoding: &str) -> bool {
    content_encoding
        .split(',')
        .map(str::trim)
        .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
}

/// The text without the byte order mark that some writers prepend.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
