//! Preconditions (RFC 9110, 13). They are evaluated where the response would have been a 200 (13.2.1), `If-Match` first
//! (13.2.2). `If-Modified-Since` and `If-Unmodified-Since` are ignored: responses have no `Last-Modified`.

use crate::customer::answer::ETag;

/// Whether `If-Match` names the representation in either coding, by the strong comparison: a weak tag never matches.
pub(super) fn if_match<'a>(mut values: impl Iterator<Item = &'a str>, etag: &ETag) -> bool {
    values.any(|value| {
        value.trim() == "*"
            || value
                .split(',')
                .any(|tag| etag.form_of(tag.trim()).is_some())
    })
}

/// The caller's copy that `If-None-Match` names and that is current, by the weak comparison. If it names both codings,
/// or `*`, the copy in the coding that would be sent.
pub(super) fn current_copy<'a>(
    values: impl Iterator<Item = &'a str>,
    etag: &ETag,
    would_be_gzip: bool,
) -> Option<CallersCopy> {
    let mut other = None;
    for tag in values.flat_map(|value| value.split(',')).map(str::trim) {
        let form = if tag == "*" {
            Some(would_be_gzip)
        } else {
            etag.form_of(tag.strip_prefix("W/").unwrap_or(tag))
        };
        match form {
            Some(is_gzip) if is_gzip == would_be_gzip => return Some(CallersCopy { is_gzip }),
            Some(is_gzip) => other = Some(CallersCopy { is_gzip }),
            None => {}
        }
    }
    other
}

/// The form of a copy that the caller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CallersCopy {
    pub(super) is_gzip: bool,
}
