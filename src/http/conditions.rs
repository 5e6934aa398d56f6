//! Preconditions (RFC 9110, 13): whether the caller has the answer already, or wants it only as it was. They are judged
//! where the answer would have been a 200 (13.2.1), `If-Match` first (13.2.2). `If-Modified-Since` and the like say
//! nothing about answers without a date.

use crate::customer::answer::ETag;

/// Whether one of the values of `If-Match` names the answer in either coding. Compared strongly: a weak validator names
/// nothing.
pub(super) fn is_wanted<'a>(mut values: impl Iterator<Item = &'a str>, etag: &ETag) -> bool {
    values.any(|value| {
        value.trim() == "*"
            || value
                .split(',')
                .any(|tag| etag.form_of(tag.trim()).is_some())
    })
}

/// Whether the values of `If-None-Match` name the answer in either coding, and in which; of both, or of any answer, in
/// the one that would be sent. Compared weakly.
pub(super) fn held<'a>(
    values: impl Iterator<Item = &'a str>,
    etag: &ETag,
    would_be_gzip: bool,
) -> Option<Form> {
    let mut other = None;
    for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
        let form = if tag == "*" {
            Some(would_be_gzip)
        } else {
            etag.form_of(tag.strip_prefix("W/").unwrap_or(tag))
        };
        match form {
            Some(is_gzip) if is_gzip == would_be_gzip => return Some(Form { is_gzip }),
            Some(is_gzip) => other = Some(Form { is_gzip }),
            None => {}
        }
    }
    other
}

/// In which form an answer is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) is_gzip: bool,
}
