//! The version of Engage's API that a test target runs with, and what depends on it.

use engage_bff::config::ApiVersion;

/// The version of Engage's API that this target runs with.
pub(crate) const API: ApiVersion = match env!("CARGO_CRATE_NAME").as_bytes() {
    b"api_v2" => ApiVersion::V2,
    _ => ApiVersion::V3,
};
/// Whether the overview contains the points: always in v2, never in v3.
pub(crate) const OVERVIEW_HAS_POINTS: bool = matches!(API, ApiVersion::V2);
/// Calls to the points endpoint that a request costs when nothing is cached or all of it has expired.
pub(crate) const POINTS_CALLS: usize = if OVERVIEW_HAS_POINTS { 0 } else { 1 };
/// Calls that such a request costs: the overview, and one for points that the overview does not contain.
pub(crate) const COLD_CALLS: usize = 1 + POINTS_CALLS;
/// Whether this target runs with a version to which a test does not apply; prints why.
pub(crate) fn not_applicable_in(version: ApiVersion, why: &str) -> bool {
    let is_skipped = API == version;
    if is_skipped {
        eprintln!("not applicable in {version:?}: {why}");
    }
    is_skipped
}
