//! Times as responses write them.

use jiff::Timestamp;
use serde::Serialize;

/// A time: RFC 3339 in UTC, with milliseconds.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Time, format = DateTime, examples("2026-12-31T15:54:39.000Z")))]
#[serde(transparent)]
pub(super) struct TimeJson(Box<str>);

pub(super) fn rfc_3339(moment: Timestamp) -> TimeJson {
    TimeJson(format!("{moment:.3}").into())
}

pub(super) fn maybe_rfc_3339(moment: Option<Timestamp>) -> Option<TimeJson> {
    moment.map(rfc_3339)
}
