//! What a batch requests: its look-ups, which are read one by one later, and the parameters that they have in common.

use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::{
    config::duration,
    customer::Shape,
    http::{
        auth::Caller,
        error::ApiError,
        lookup::LookupRules,
        params::{ParamValue, Params},
    },
};

/// The most look-ups of one batch.
const MAX_LOOKUPS: usize = 100;
/// The deadline of a batch that names none, and its bounds. The longest deadline is below the default
/// `server.shutdown_grace`, so that a shutdown can finish a batch under way, and below the time that most proxies wait
/// for a response.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);
const SHORTEST_DEADLINE: Duration = Duration::from_millis(100);
const LONGEST_DEADLINE: Duration = Duration::from_secs(10);

/// A batch whose look-ups have not been read yet.
#[derive(Debug)]
pub(super) struct Envelope {
    /// The look-ups as sent.
    pub(super) lookups: Vec<Bytes>,
    /// The form of each answer.
    pub(super) shape: Shape,
    /// How long the batch may take.
    pub(super) time_limit: Duration,
}

impl Envelope {
    /// Reads the body. Fails if the caller may not make such a request.
    pub(super) fn read(
        body: &Bytes,
        rules: &LookupRules,
        caller: &Caller,
    ) -> Result<Self, ApiError> {
        let mut params = Params::default();
        let mut lookups = None;
        let mut time_limit = DEFAULT_DEADLINE;
        for (name, value) in Params::members(body)? {
            match &*name {
                "lookups" => lookups = Some(read_lookups(body, value)?),
                "deadline" => time_limit = read_deadline(value)?,
                "parts" | "view" | "channel" => params.add(name.into(), read_value(value)),
                _ => return Err(ApiError::parameter(&name, "unknown parameter")),
            }
        }
        Ok(Self {
            lookups: lookups.ok_or_else(no_lookups)?,
            shape: rules.read_shape_of_many(params, caller)?,
            time_limit,
        })
    }
}

fn no_lookups() -> ApiError {
    ApiError::parameter("lookups", "an array of 1 to 100 objects")
}

fn read_lookups(body: &Bytes, value: &RawValue) -> Result<Vec<Bytes>, ApiError> {
    let lookups: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| no_lookups())?;
    if !(1..=MAX_LOOKUPS).contains(&lookups.len()) {
        return Err(no_lookups());
    }
    let raw = lookups.iter().map(|lookup| lookup.get().as_bytes());
    Ok(raw.map(|lookup| body.slice_ref(lookup)).collect())
}

fn read_deadline(value: &RawValue) -> Result<Duration, ApiError> {
    let time_limit = match read_value(value) {
        ParamValue::Text(text) => duration::parse(&text),
        _ => None,
    };
    let is_allowed =
        |time_limit: &Duration| (SHORTEST_DEADLINE..=LONGEST_DEADLINE).contains(time_limit);
    time_limit
        .filter(is_allowed)
        .ok_or_else(|| ApiError::parameter("deadline", "a duration from \"100ms\" to \"10s\""))
}

/// The value of a member. A value that is nested too deeply to be read is neither a text nor a list.
fn read_value(value: &RawValue) -> ParamValue<'static> {
    serde_json::from_str(value.get()).unwrap_or(ParamValue::Other)
}
