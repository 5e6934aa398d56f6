//! `POST /customer/batch`: many look-ups in one request. The response is a stream of lines (`application/x-ndjson`),
//! one for each look-up, as it becomes known: cached customers at once, others when their calls are answered, and a 504
//! for each that is missing at the deadline. Its calls come after those of interactive requests. [`envelope`] reads
//! what is requested, [`lines`] decides which line is next, [`look_up`] makes a line.

mod envelope;
mod line;
mod lines;
mod look_up;

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use futures_util::stream;
use http::{HeaderValue, header};

use self::{envelope::Envelope, lines::Lines, look_up::Batch};
use super::{
    auth::Caller,
    body::read_json_body,
    error::{ApiError, Code},
    log_context::LogContext,
    state::AppState,
};
use crate::config::Scope;

/// `Retry-After` if the client has as many batches under way as it may have.
const BUSY: Duration = Duration::from_secs(1);

pub(super) async fn receive(
    State(state): State<AppState>,
    caller: Caller,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    caller.require(Scope::Read)?;
    caller.require(Scope::Batch)?;
    let (head, body) = request.into_parts();
    let context = LogContext::from_extensions(&head.extensions);
    let clock = state.customers.clock().clone();
    let body = read_json_body(&state.rules, &clock, &head.headers, body).await?;
    let Envelope {
        lookups,
        shape,
        time_limit,
    } = Envelope::read(&body, &state.rules, &caller)?;
    let Some(slot) = state.deferred.begin_batch(&caller.flow().client) else {
        let detail = "Too many concurrent batches from this client.";
        return Err(ApiError::with_detail(Code::RateLimited, detail).retry_after(BUSY));
    };
    let batch = Batch {
        state,
        caller,
        shape,
        deadline: clock.tick() + time_limit,
        request_id: context.request_id,
        trace: context.trace.clone(),
    };
    let lines = Lines::new(Arc::new(batch), lookups, slot);
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.next().await?;
        Some((Ok::<Bytes, Infallible>(line), lines))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let ndjson = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, ndjson);
    Ok(response)
}
