//! The last decisions of the cache: why each of the latest look-ups was answered as it was. Operators read them at
//! `GET /cache/decisions`.
//!
//! A plain hit is not among them: it has nothing to explain, and would soon have displaced everything else. Nor is an
//! answer of Engage about the identifier itself (unknown, ambiguous, malformed). What is kept contains no value of a
//! contact, and no identifier but the contact id, which never leaves memory: operators read its keyed digest.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::StatusCode;
use jiff::Timestamp;

use super::error::ApiError;
use crate::{
    customer::{self, CacheStatus, CustomerQuery, Found, Reasons},
    domain::{ClientName, ContactId, Identifier, IdentifierKind, RequestId},
};

/// How many decisions are kept; some 600 bytes each.
const CAPACITY: usize = 4096;

/// Why one look-up was answered as it was.
#[derive(Debug)]
pub(super) struct Decision {
    /// When the look-up began: when the request arrived, or once its body had been read; in a batch, when its turn
    /// came.
    pub(super) at: Timestamp,
    pub(super) request_id: RequestId,
    pub(super) client: ClientName,
    /// The kind of identifier.
    pub(super) by: IdentifierKind,
    /// The contact, where it is known.
    pub(super) contact: Option<ContactId>,
    pub(super) status: StatusCode,
    /// The code of a problem.
    pub(super) code: Option<&'static str>,
    /// What the cache did; `None` if the response is a problem.
    pub(super) cache_status: Option<CacheStatus>,
    pub(super) cause: Cause,
}

/// What the caller got: a customer or a guest, or a problem.
pub(super) type LookUpOutcome<'a> = Result<(StatusCode, CacheStatus), &'a ApiError>;

/// Why a look-up was answered as it was.
#[derive(Debug)]
pub(super) enum Cause {
    /// Where each part of the response came from, and why.
    Parts(Arc<Reasons>),
    /// Why no customer was found: an error's text, as in the log; for a look-up of a batch, the problem's code.
    Failure(Box<str>),
}

impl Cause {
    /// The cause of what a search found; `None` where there is nothing to explain.
    pub(super) fn of(found: Result<&Found, &customer::Error>) -> Option<Self> {
        match found {
            Ok(found) => found.reasons.clone().map(Self::Parts),
            Err(error) if error.is_about_the_identifier() => None,
            Err(error) => Some(Self::Failure(error.to_string().into())),
        }
    }

    /// The cause of a look-up of a batch that failed: the problem's code. `None` where the client or the identifier is the
    /// reason.
    pub(super) fn of_refusal(error: &ApiError) -> Option<Self> {
        let code = error.code();
        let is_ours = !code.status().is_client_error();
        is_ours.then(|| Self::Failure(code.label().into()))
    }
}

impl Decision {
    /// The decision about a look-up, whose contact is known if one was found or the caller named it.
    pub(super) fn new(
        request_id: &RequestId,
        query: &CustomerQuery,
        contact: Option<ContactId>,
        outcome: LookUpOutcome<'_>,
        cause: Cause,
    ) -> Self {
        let identifier = &query.lookup.identifier;
        let named = match identifier {
            Identifier::ContactId(id) => Some(*id),
            _ => None,
        };
        Self {
            at: query.now.wall,
            request_id: *request_id,
            client: query.flow.client.clone(),
            by: identifier.kind(),
            contact: contact.or(named),
            status: status_of(outcome),
            code: outcome.err().map(|error| error.code().label()),
            cache_status: outcome.ok().map(|(_, cache_status)| cache_status),
            cause,
        }
    }
}

/// The status of the response.
pub(super) fn status_of(outcome: LookUpOutcome<'_>) -> StatusCode {
    outcome.map_or_else(|error| error.code().status(), |(status, _)| status)
}

/// The last decisions, the oldest first.
#[derive(Debug, Default)]
pub struct Decisions {
    latest: Mutex<VecDeque<Arc<Decision>>>,
}

impl Decisions {
    /// Keeps a decision, and drops the oldest if there are `CAPACITY` already.
    pub(super) fn record(&self, decision: Decision) {
        let decision = Arc::new(decision);
        let mut latest = self.latest();
        let oldest = if latest.len() >= CAPACITY {
            latest.pop_front()
        } else {
            None
        };
        latest.push_back(decision);
        drop(latest);
        // Freed without the lock.
        drop(oldest);
    }

    /// The decisions that are kept, the newest first.
    pub(super) fn newest_first(&self) -> Vec<Arc<Decision>> {
        self.latest().iter().rev().cloned().collect()
    }

    fn latest(&self) -> MutexGuard<'_, VecDeque<Arc<Decision>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(number: i64) -> Decision {
        Decision {
            at: Timestamp::from_second(number).expect("a time"),
            request_id: RequestId::from_bytes(None),
            client: "shop".into(),
            by: IdentifierKind::Email,
            contact: None,
            status: StatusCode::BAD_GATEWAY,
            code: Some("UpstreamFailed"),
            cache_status: None,
            cause: Cause::Failure("upstream status 500".into()),
        }
    }

    #[test]
    fn only_the_newest_decisions_are_kept() {
        let decisions = Decisions::default();
        let count = i64::try_from(CAPACITY).expect("a small number") + 3;
        (0..count).for_each(|number| decisions.record(decision(number)));
        let kept = decisions.newest_first();
        let seconds = |decision: &Arc<Decision>| decision.at.as_second();
        assert_eq!(kept.len(), CAPACITY);
        assert_eq!(kept.first().map(seconds), Some(count - 1));
        assert_eq!(kept.last().map(seconds), Some(3));
    }
}
