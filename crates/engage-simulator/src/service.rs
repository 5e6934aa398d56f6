//! Handles one call: computes the response, records the call, then holds, delays, alters and sends the response.
//!
//! The response is computed when the call arrives, so a delayed response has the data of the arrival. Only
//! [`Simulator::hold_before`] computes it after the release.

use std::time::Duration;

use axum::{
    Extension,
    body::Body,
    extract::{Query, Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, header};

use crate::{
    Simulator,
    answer::{Answer, ApiError, TEXT},
    api::{ApiRequest, Operation, Version},
    calls::{Call, HeadersSeen, RunningCall},
    fault::{Fault, Outcome},
    server::ConnectionControl,
};

/// A parsed call.
struct ParsedCall {
    version: Version,
    operation: Operation,
    query: Vec<(String, String)>,
    headers: HeadersSeen,
    traceparent: Option<String>,
    fault: Option<Fault>,
}

/// Handles every call outside of the control API.
pub(crate) async fn handle(
    State(engage): State<Simulator>,
    Extension(connection_control): Extension<ConnectionControl>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    let query = query.map(|query| query.0).unwrap_or_default();
    let parsed = Operation::parse(&path).filter(|_| request.method() == Method::GET);
    let Some((version, operation)) = parsed else {
        let what = format!("no such route: {} {path}", request.method());
        engage.0.calls.record_unexpected(what.clone());
        return whole(&ApiError::Unknown(what).answer(""));
    };
    let endpoint = operation.endpoint();
    let (fault, latency) = engage.conditions_of(endpoint);
    let call = ParsedCall {
        version,
        operation,
        query,
        headers: headers_seen(request.headers(), &engage),
        traceparent: text(request.headers(), "traceparent").map(str::to_owned),
        fault,
    };
    let barrier = engage.0.holds.barrier(endpoint);
    let is_late = barrier
        .as_ref()
        .is_some_and(|barrier| barrier.is_before_answer);
    // Computed before the call is recorded: a test that sees the record may change the world.
    let early = (!is_late).then(|| engage.answer(&call));
    let running = engage.0.calls.begin(Call {
        endpoint,
        method: request.method().to_string(),
        path,
        query: call.query.clone(),
        headers: call.headers,
        traceparent: call.traceparent.clone(),
        at: engage.clock().now(),
        status: None,
        in_flight: true,
    });
    if let Some(barrier) = barrier {
        barrier.pass().await;
    }
    let answer = early.unwrap_or_else(|| engage.answer(&call));
    let delay = latency + call.fault.as_ref().map(Fault::delay).unwrap_or_default();
    delay_response(delay).await;
    let outcome = match &call.fault {
        Some(fault) => fault.apply(answer),
        None => Outcome::Complete(answer),
    };
    send(outcome, running, connection_control).await
}

async fn send(
    outcome: Outcome,
    running: RunningCall,
    connection_control: ConnectionControl,
) -> Response {
    match outcome {
        Outcome::Complete(answer) => {
            running.answered(answer.status);
            whole(&answer)
        }
        Outcome::Partial(answer) => {
            running.answered(answer.status);
            half(&answer, connection_control)
        }
        Outcome::Reset => {
            connection_control.cut();
            // Never sent, because the connection is cut.
            Response::default()
        }
        Outcome::Raw(bytes) => {
            connection_control.send_instead(bytes);
            // Never sent, because the raw bytes are sent instead.
            Response::default()
        }
        Outcome::Hang => std::future::pending().await,
    }
}

impl Simulator {
    /// The response of Engage.
    fn answer(&self, call: &ParsedCall) -> Answer {
        self.try_answer(call)
            .unwrap_or_else(|error| error.answer(&self.request_id()))
    }

    fn try_answer(&self, call: &ParsedCall) -> Result<Answer, ApiError> {
        if !call.headers.api_key {
            return Err(ApiError::Unauthorized);
        }
        if !self.is_within_rate() {
            return Ok(Answer::new(429, TEXT, "Too Many Requests"));
        }
        if !call.headers.content_type {
            return Err(ApiError::MissingContentType);
        }
        let known = call.operation.parameters();
        let mut names = call.query.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = names.find(|name| !known.contains(name)) {
            let endpoint = call.operation.endpoint();
            let what = format!("no such query parameter of {endpoint:?}: {unknown}");
            self.0.calls.record_unexpected(what.clone());
            return Err(ApiError::Unknown(what));
        }
        let world = self.world();
        if world.settings.is_forbidden {
            return Err(ApiError::Forbidden);
        }
        let request = ApiRequest {
            world: &world,
            now: self.clock().now(),
            version: call.version,
            query: &call.query,
            substitute: call.fault.as_ref().and_then(Fault::substitute),
        };
        request.answer(&call.operation)
    }
}

/// Uses real time: latency belongs to the network, not to the simulated world.
#[expect(clippy::disallowed_methods, reason = "tests request real delays")]
async fn delay_response(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn headers_seen(headers: &HeaderMap, engage: &Simulator) -> HeadersSeen {
    let content_type = text(headers, "content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    HeadersSeen {
        user_agent: text(headers, "user-agent").is_some_and(|agent| agent.contains('/')),
        content_type: media_type.eq_ignore_ascii_case("application/json"),
        accept: headers.contains_key(header::ACCEPT),
        api_key: text(headers, "apikey").is_some_and(|key| engage.accepts_api_key(key)),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn whole(answer: &Answer) -> Response {
    respond(answer, Body::from(answer.body.clone()))
}

/// Announces the whole body, sends half of it, and cuts the connection.
fn half(answer: &Answer, connection_control: ConnectionControl) -> Response {
    let bytes = Bytes::from(answer.body.clone());
    let length = bytes.len();
    let first = bytes.slice(..length / 2);
    let parts = stream::unfold(Some(first), move |first| {
        let connection_control = connection_control.clone();
        async move {
            if let Some(first) = first {
                return Some((Ok(first), None));
            }
            // Lets the first half be sent.
            tokio::task::yield_now().await;
            connection_control.cut();
            let error = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
            Some((Err(error), None))
        }
    });
    let mut response = respond(answer, Body::from_stream(parts));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.into());
    response
}

fn respond(answer: &Answer, body: Body) -> Response {
    let mut response = Response::builder()
        .status(answer.status)
        .header(header::CONTENT_TYPE, answer.content_type);
    if let Some(retry_after) = &answer.retry_after {
        response = response.header(header::RETRY_AFTER, retry_after);
    }
    // A test may request an invalid status or header.
    response
        .body(body)
        .unwrap_or_else(|error| (http::StatusCode::IM_A_TEAPOT, error.to_string()).into_response())
}
