//! E-mail addresses as Engage shows them.

use super::Email;
use crate::domain::Shown;

/// What people put around an address.
const QUOTES: [(char, char); 5] = [('"', '"'), ('\'', '\''), ('“', '”'), ('‘', '’'), ('«', '»')];

impl Email {
    /// Reads an address that is held: as [`Email::parse`] does, and with an international domain, which becomes its
    /// `xn--` form.
    pub fn parse_held(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::parse(text).ok().or_else(|| {
            let (local, domain) = text.split_once('@')?;
            Self::parse(&format!("{local}@{}", ascii_domain(domain)?)).ok()
        })
    }

    /// Reads a field, which may hold several addresses, with names or quotes around them.
    pub fn read_shown(text: &str) -> Shown<Self> {
        Shown::in_field(text, |text| {
            Self::parse_held(bare(text)).into_iter().collect()
        })
    }
}

/// Returns the address without what stands around it.
fn bare(text: &str) -> &str {
    let mut text = text.trim();
    // A name, and the address in brackets.
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

/// Returns the `xn--` form of an international domain; nothing where it is written with characters that only resemble
/// the domain's own, or are not seen.
fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii(domain).ok()?;
    let (unicode, read) = idna::domain_to_unicode(&ascii);
    (read.is_ok() && unicode == domain.to_lowercase()).then_some(ascii)
}
