//! Times as answers write them.

use jiff::Timestamp;

/// RFC 3339 in UTC with milliseconds.
pub(super) fn rfc_3339(moment: Timestamp) -> Box<str> {
    format!("{moment:.3}").into()
}

pub(super) fn maybe_rfc_3339(moment: Option<Timestamp>) -> Option<Box<str>> {
    moment.map(rfc_3339)
}
