//! The version of Engage's API that a target runs with, and what it changes.

use engage_bff::config::ApiVersion;

/// The version of Engage's API that this target runs with.
pub(crate) const API: ApiVersion = match env!("CARGO_CRATE_NAME").as_bytes() {
    b"api_v2" => ApiVersion::V2,
    _ => ApiVersion::V3,
};
/// Whether the overview tells the points: in v2 it does, in v3 never.
pub(crate) const TELLS_POINTS: bool = matches!(API, ApiVersion::V2);
/// How many calls for the points alone a plain question costs when nothing is held, or all of it has expired.
pub(crate) const POINTS_CALLS: usize = if TELLS_POINTS { 0 } else { 1 };
/// How many calls such a question costs: the overview, and one for what that does not tell.
pub(crate) const COLD_CALLS: usize = 1 + POINTS_CALLS;
/// Whether this target runs with a version for which a test has no meaning; says why.
pub(crate) fn has_no_meaning_in(version: ApiVersion, why: &str) -> bool {
    let has_none = API == version;
    if has_none {
        eprintln!("no meaning in {version:?}: {why}");
    }
    has_none
}
