//! The audit log: one event for each look-up in the full view, and with `telemetry.audit = "all"` in the storefront
//! view too, with the contact as a keyed digest, and one for each problem that names contacts. Actions of operators,
//! and requests that the operations listener refuses, are logged to the same target, so that all of them can be stored
//! separately from the rest of the log, and longer.

use tracing::Level;

use super::{
    decisions::{LookUpOutcome, status_of},
    error::{ApiError, Code},
    state::AppState,
};
use crate::{
    customer::{Candidate, CustomerQuery, view::View},
    domain::{ContactId, Digester, RequestId, TraceId},
    telemetry,
    traces::RequestTrace,
};

/// The target of audit events.
pub(super) const TARGET: &str = telemetry::AUDIT;

/// Logs that a problem names the contacts that share an identifier.
pub(super) fn candidates(
    request_id: &RequestId,
    query: &CustomerQuery,
    candidates: &[Candidate],
    digester: &Digester,
) {
    if !tracing::enabled!(target: TARGET, Level::INFO) {
        return;
    }
    let digests = candidates.iter();
    let digests: Vec<_> = digests
        .map(|candidate| candidate.id.digest(digester).to_string())
        .collect();
    tracing::info!(
        target: TARGET,
        request_id = request_id.as_str(),
        trace_id = trace_id(query).map(tracing::field::display),
        client = query.flow.client.as_str(),
        by = query.lookup.identifier.kind().as_str(),
        contacts = digests.join(" "),
        "candidates named"
    );
}

/// Logs a look-up in this view, its result, and the contact, if such look-ups are audited.
pub(super) fn look_up(
    state: &AppState,
    view: View,
    request_id: &RequestId,
    query: &CustomerQuery,
    contact: Option<ContactId>,
    outcome: LookUpOutcome<'_>,
) {
    if !state.log_rules.audits(view) || !tracing::enabled!(target: TARGET, Level::INFO) {
        return;
    }
    let digester = &state.rules.digester;
    let status = status_of(outcome);
    macro_rules! event {
        ($message:literal) => {
            tracing::info!(
                target: TARGET,
                request_id = request_id.as_str(),
                trace_id = trace_id(query).map(tracing::field::display),
                client = query.flow.client.as_str(),
                by = query.lookup.identifier.kind().as_str(),
                contact = contact.map(|id| tracing::field::display(id.digest(digester))),
                status = status.as_u16(),
                cache = outcome.ok().map(|(_, cache_status)| cache_status.as_str()),
                code = outcome.err().map(ApiError::code).map(Code::as_str),
                $message
            )
        };
    }
    match view {
        View::Full => event!("full view requested"),
        View::Storefront => event!("storefront view requested"),
    }
}

/// The trace of the request, if it is recorded.
fn trace_id(query: &CustomerQuery) -> Option<TraceId> {
    query.trace.as_deref().and_then(RequestTrace::recorded_id)
}
