//! E-mail addresses as identifiers: one canonical form per address, so that two spellings are one cache key.
//!
//! Also asked whether the address in a profile is well formed. It does not ask whether mail would arrive.

mod shown;

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest address that can be delivered to (RFC 3696 erratum 1690).
const MAX_LENGTH: usize = 254;
/// The longest part before the `@` (RFC 5321, section 4.5.3.1.1).
const MAX_LOCAL_LENGTH: usize = 64;
/// The longest label of a domain name (RFC 1035, section 2.3.4).
const MAX_LABEL_LENGTH: usize = 63;

/// An e-mail address in lower case.
///
/// Lower case is ASCII's alone. Beyond ASCII folding differs from one implementation to the next (the Kelvin
/// sign, ſ, ß, dotless ı), and one that differs from Engage's would make two people one; hence no such
/// address is read at all.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Email(Box<str>);

/// Why a text is not read as an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// It does not have the form of an address.
    #[error("not the form of an e-mail address")]
    Malformed,
    /// Its domain holds a character outside ASCII; international domains are taken in their `xn--` form.
    #[error("the domain of an e-mail address is taken in ASCII only")]
    DomainNotAscii,
    /// What stands before the `@` holds a character outside ASCII.
    #[error("an e-mail address is taken in ASCII only")]
    NotAscii,
}

impl Email {
    /// Reads an address, ignoring blanks around it and the case of its letters.
    ///
    /// Refuses with [`EmailError::DomainNotAscii`] or [`EmailError::NotAscii`] whatever holds a character outside ASCII,
    /// otherwise with [`EmailError::Malformed`]. Quoted local parts and address literals are not read: shops do not take
    /// them.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        if !text.is_ascii() {
            let local_is_ascii = text
                .split_once('@')
                .is_some_and(|(local, _)| local.is_ascii());
            return Err(if local_is_ascii {
                EmailError::DomainNotAscii
            } else {
                EmailError::NotAscii
            });
        }
        let text = text.trim_ascii();
        let (local, domain) = text.split_once('@').ok_or(EmailError::Malformed)?;
        if text.len() > MAX_LENGTH || !is_local_part(local) || !is_domain(domain) {
            return Err(EmailError::Malformed);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says whether the text may stand before the `@`; apostrophes and plus signs may.
fn is_local_part(text: &str) -> bool {
    let is_allowed = |byte: u8| IN_LOCAL_PARTS[usize::from(byte)];
    (1..=MAX_LOCAL_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// The characters of a local part, by their bytes: a table, for every request by an address reads one.
const IN_LOCAL_PARTS: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        allowed[byte as usize] = !matches!(
            byte,
            b'@' | b'"' | b'(' | b')' | b',' | b':' | b';' | b'<' | b'>' | b'[' | b']' | b'\\'
        );
        byte += 1;
    }
    allowed
};

/// Says whether the text is a domain name of at least two labels.
fn is_domain(text: &str) -> bool {
    let mut labels = 0;
    let mut all = text.as_bytes().split(|byte| *byte == b'.');
    all.all(|label| {
        labels += 1;
        is_label(label)
    }) && labels >= 2
}

/// Says whether the text is a label of a host name (RFC 1123, section 2.1).
fn is_label(text: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    (1..=MAX_LABEL_LENGTH).contains(&text.len())
        && text.iter().all(is_allowed)
        && !text.starts_with(b"-")
        && !text.ends_with(b"-")
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(…)")
    }
}

#[cfg(test)]
mod tests;
