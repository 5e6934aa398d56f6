//! E-mail addresses in Engage's data, parsed more leniently than a caller's.

use super::Email;
use crate::domain::field_value::FieldValue;

/// Quotation marks around an address.
const QUOTES: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('«', '»')];

impl Email {
    /// Parses an address in Engage's data: like [`Email::parse`], but accepts an international domain, which becomes
    /// its `xn--` form.
    pub fn parse_lenient(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::parse(text).ok().or_else(|| {
            let (local, domain) = text.split_once('@')?;
            Self::parse(&format!("{local}@{}", ascii_domain(domain)?)).ok()
        })
    }

    /// Parses a field, which may contain several addresses, with names or quotes around them.
    pub fn read_field(text: &str) -> FieldValue<Self> {
        FieldValue::parse_list(text, |text| {
            Self::parse_lenient(bare(text)).into_iter().collect()
        })
    }
}

/// Returns the address without name, quotes and `mailto:`.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    // `Name <address>`.
    if let Some((name, bracketed)) = text.split_once('<')
        && !name.contains('@')
        && let Some(inner) = bracketed.strip_suffix('>')
        && !inner.contains(['<', '>'])
    {
        text = inner.trim();
    }
    for (open, close) in QUOTES {
        if let Some(rest) = text.strip_prefix(open)
            && let Some(inner) = rest.strip_suffix(close)
        {
            text = inner.trim();
        }
    }
    match text.split_at_checked(7) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mailto:") => rest,
        _ => text,
    }
}

/// Returns the `xn--` form of an international domain; `None` if it contains look-alike or invisible characters.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let (unicode, read) = idna::domain_to_unicode(&ascii);
    (read.is_ok() && unicode == domain.to_lowercase()).then_some(ascii)
}
