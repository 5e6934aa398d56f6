//! What a look-up requests of a contact's history, and which callers may request it.

use jiff::Timestamp;

use crate::{
    config::Scope,
    customer::view::View,
    domain::{HistorySet, PartSet},
    http::{auth::Caller, error::ApiError, params::ParamValue},
};

/// How many items of a list are sent if the request does not say.
pub(super) const DEFAULT_LIMIT: usize = 20;
/// The most items that a request may ask for.
const MAX_LIMIT: usize = 100;

/// Which items of the history are requested.
#[derive(Clone, Copy, Default)]
pub(super) struct Paging {
    pub(super) limit: Option<usize>,
    pub(super) before: Option<Timestamp>,
}

impl Paging {
    /// The name of a parameter that is given, if one is.
    fn given(self) -> Option<&'static str> {
        let limit = self.limit.map(|_| "limit");
        limit.or(self.before.map(|_| "before"))
    }
}

/// The value of `parts`.
#[derive(Clone, Copy)]
pub(super) struct RequestedParts {
    pub(super) parts: PartSet,
    pub(super) history: HistorySet,
}

impl RequestedParts {
    pub(super) const EMPTY: Self = Self {
        parts: PartSet::EMPTY,
        history: HistorySet::EMPTY,
    };

    pub(super) fn is_empty(self) -> bool {
        self.parts.is_empty() && self.history.is_empty()
    }

    pub(super) fn is_subset(self, other: Self) -> bool {
        self.parts.is_subset(other.parts) && self.history.is_subset(other.history)
    }

    /// Those of them that can be requested fresh.
    pub(super) fn all_fresh(self) -> Self {
        Self {
            parts: self.parts.intersection(PartSet::INVALIDATABLE),
            history: self.history,
        }
    }
}

/// Refuses a part of the history that the caller may not see, and its parameters where none is requested. It is for
/// staff, and for shoppers about themselves.
pub(super) fn check(
    history: HistorySet,
    paging: Paging,
    view: View,
    caller: &Caller,
) -> Result<(), ApiError> {
    if history.is_empty() {
        return match paging.given() {
            None => Ok(()),
            Some(name) => Err(ApiError::parameter(
                name,
                "only with pointTransactions, redeemedVouchers or purchases in parts",
            )),
        };
    }
    if caller.is_shopper() {
        return Ok(());
    }
    caller.require(Scope::ReadFull)?;
    if view == View::Full {
        Ok(())
    } else {
        Err(ApiError::parameter(
            "parts",
            "pointTransactions, redeemedVouchers and purchases need the view full",
        ))
    }
}

/// Refuses parts of the history and their paging parameters if only customers are looked up.
pub(super) fn refuse(history: HistorySet, paging: Paging) -> Result<(), ApiError> {
    let named = (!history.is_empty()).then_some("parts");
    match named.or(paging.given()) {
        None => Ok(()),
        Some(name) => Err(ApiError::parameter(
            name,
            "pointTransactions, redeemedVouchers and purchases are only for a look-up of one customer",
        )),
    }
}

/// How many items: a number in a body, or its text.
pub(super) fn limit(value: &ParamValue<'_>) -> Result<usize, ApiError> {
    let number = value.whole_number().map(usize::try_from);
    number
        .and_then(Result::ok)
        .filter(|number| (1..=MAX_LIMIT).contains(number))
        .ok_or_else(|| ApiError::parameter("limit", "a whole number from 1 to 100"))
}

pub(super) fn before(text: &str) -> Result<Timestamp, ApiError> {
    // The library reads other forms of ISO 8601 too, and names of zones.
    let is_plain = |byte: u8| byte.is_ascii_digit() || b"-:.+TtZz".contains(&byte);
    let time = match text.as_bytes().get(10) {
        Some(b'T' | b't') if text.bytes().all(is_plain) => text.parse().ok(),
        _ => None,
    };
    time.ok_or_else(|| {
        let form = "an RFC 3339 time, such as 2026-11-23T12:00:00Z";
        ApiError::parameter("before", form)
    })
}
