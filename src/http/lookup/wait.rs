//! How long a caller waits, if it wants to wait for less time than the service allows.

use std::time::Duration;

use crate::http::{error::ApiError, params::ParamValue};

/// The shortest wait: less is not enough for a call to Engage.
const SHORTEST: Duration = Duration::from_millis(100);

/// The value of `wait`, which may be out of range.
#[derive(Clone, Copy)]
pub(super) struct Wait(
    /// `None` if it is not a whole number of milliseconds.
    Option<Duration>,
);

impl Wait {
    /// Reads a number in a body, or its text.
    pub(super) fn read(value: &ParamValue<'_>) -> Self {
        Self(value.whole_number().map(Duration::from_millis))
    }
}

/// The caller's own wait, if it is shorter than `longest`, the default.
pub(super) fn shorter(wait: Option<Wait>, longest: Duration) -> Result<Option<Duration>, ApiError> {
    let Some(Wait(wait)) = wait else {
        return Ok(None);
    };
    let last = longest.max(SHORTEST);
    let Some(wait) = wait.filter(|wait| (SHORTEST..=last).contains(wait)) else {
        let (first, last) = (SHORTEST.as_millis(), last.as_millis());
        let form = format!("whole milliseconds from {first} to {last}");
        return Err(ApiError::parameter("wait", &form));
    };
    Ok(Some(wait).filter(|wait| *wait < longest))
}
