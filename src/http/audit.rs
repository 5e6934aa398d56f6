//! Who looked at whom: one event for each question in the full view, in which a contact is a keyed digest. Acts of
//! operators go to the same target, which has a name of its own so that these events can be kept apart from the rest of
//! the log, and longer.

use tracing::Level;

use super::{
    error::{ApiError, Code},
    request_id::RequestId,
    response::CustomerResponse,
};
use crate::{
    customer::CustomerQuery,
    domain::{ContactId, Digester},
    telemetry,
};

/// Where events of the audit go.
pub(super) const TARGET: &str = telemetry::AUDIT;

/// How a question in the full view was answered, and about whom.
pub(super) fn full_view(
    request_id: &RequestId,
    query: &CustomerQuery,
    contact: Option<ContactId>,
    outcome: Result<&CustomerResponse, &ApiError>,
    digester: &Digester,
) {
    if !tracing::enabled!(target: TARGET, Level::INFO) {
        return;
    }
    let status = match outcome {
        Ok(reply) => reply.response.status(),
        Err(error) => error.code().status(),
    };
    tracing::info!(
        target: TARGET,
        request_id = request_id.as_str(),
        client = query.flow.client.as_str(),
        by = query.lookup.identifier.kind().as_str(),
        contact = contact.map(|id| tracing::field::display(id.digest(digester))),
        status = status.as_u16(),
        cache = outcome.ok().map(|reply| reply.cache_status.as_str()),
        code = outcome.err().map(ApiError::code).map(Code::as_str),
        "asked for the full view"
    );
}
