//! The life of one call: it is answered in thought, recorded, held, delayed, spoiled and sent.
//!
//! The answer is made when the call arrives, so what is slow is the way back; only a hold made for
//! it lets the world change before the answer is made.

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
    answer::{Answer, Refusal, TEXT},
    api::{Operation, Question, Version},
    calls::{Call, HeadersSeen, RunningCall},
    fault::{Ending, Fault},
    server::Scissors,
};

/// One call, understood.
struct Asked {
    version: Version,
    operation: Operation,
    query: Vec<(String, String)>,
    headers: HeadersSeen,
    fault: Option<Fault>,
}

/// Handles everything that is not the control API.
pub(crate) async fn handle(
    State(engage): State<Simulator>,
    Extension(scissors): Extension<Scissors>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
    let query = query.map(|query| query.0).unwrap_or_default();
    let parsed = Operation::parse(&path).filter(|_| request.method() == Method::GET);
    let Some((version, operation)) = parsed else {
        let what = format!("no such route: {} {path}", request.method());
        engage.0.calls.note_unexpected(what.clone());
        return whole(&Refusal::Unknown(what).answer(""));
    };
    let endpoint = operation.endpoint();
    let (fault, latency) = engage.weather_of(endpoint);
    let asked = Asked {
        version,
        operation,
        query,
        headers: headers_seen(request.headers(), engage.api_key()),
        fault,
    };
    let gate = engage.0.holds.gate(endpoint);
    let is_late = gate.as_ref().is_some_and(|gate| gate.is_before_answer);
    // The answer comes before the record: who has seen the record may change the world.
    let early = (!is_late).then(|| engage.answer(&asked));
    let running = engage.0.calls.begin(Call {
        endpoint,
        method: request.method().to_string(),
        path,
        query: asked.query.clone(),
        headers: asked.headers,
        at: engage.clock().now(),
        status: None,
        in_flight: true,
    });
    if let Some(gate) = gate {
        gate.pass().await;
    }
    let answer = early.unwrap_or_else(|| engage.answer(&asked));
    let delay = latency + asked.fault.as_ref().map(Fault::delay).unwrap_or_default();
    take_time(delay).await;
    let ending = match &asked.fault {
        Some(fault) => fault.spoil(answer),
        None => Ending::Whole(answer),
    };
    send(ending, running, scissors).await
}

async fn send(ending: Ending, running: RunningCall, scissors: Scissors) -> Response {
    match ending {
        Ending::Whole(answer) => {
            running.answered(answer.status);
            whole(&answer)
        }
        Ending::Half(answer) => {
            running.answered(answer.status);
            half(&answer, scissors)
        }
        Ending::Nothing => {
            scissors.cut();
            // Never sent: the line is cut.
            Response::default()
        }
        Ending::Raw(bytes) => {
            scissors.send_instead(bytes);
            // Never sent: the bytes are.
            Response::default()
        }
        Ending::Never => std::future::pending().await,
    }
}

impl Simulator {
    /// What Engage would answer now.
    fn answer(&self, asked: &Asked) -> Answer {
        self.try_answer(asked)
            .unwrap_or_else(|refusal| refusal.answer(&self.request_id()))
    }

    fn try_answer(&self, asked: &Asked) -> Result<Answer, Refusal> {
        if !asked.headers.api_key {
            return Err(Refusal::Unauthorized);
        }
        if !self.is_within_rate() {
            return Ok(Answer::new(429, TEXT, "Too Many Requests"));
        }
        if !asked.headers.content_type {
            return Err(Refusal::MissingContentType);
        }
        let known = asked.operation.parameters();
        let mut names = asked.query.iter().map(|(name, _)| name.as_str());
        if let Some(unknown) = names.find(|name| !known.contains(name)) {
            let endpoint = asked.operation.endpoint();
            let what = format!("no such query parameter of {endpoint:?}: {unknown}");
            self.0.calls.note_unexpected(what.clone());
            return Err(Refusal::Unknown(what));
        }
        let world = self.world();
        if world.settings.is_forbidden {
            return Err(Refusal::Forbidden);
        }
        let question = Question {
            world: &world,
            now: self.clock().now(),
            version: asked.version,
            query: &asked.query,
            impostor: asked.fault.as_ref().and_then(Fault::impostor),
        };
        question.answer(&asked.operation)
    }
}

/// Latency is of the wire, where real time runs.
#[expect(clippy::disallowed_methods, reason = "tests ask for real delays here")]
async fn take_time(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn headers_seen(headers: &HeaderMap, api_key: &str) -> HeadersSeen {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let content_type = text("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    HeadersSeen {
        user_agent: text("user-agent").is_some_and(|agent| agent.contains('/')),
        content_type: media_type.eq_ignore_ascii_case("application/json"),
        accept: headers.contains_key(header::ACCEPT),
        api_key: text("apikey") == Some(api_key),
    }
}

fn whole(answer: &Answer) -> Response {
    respond(answer, Body::from(answer.body.clone()))
}

/// Promises the whole body, sends half of it, and cuts the line.
fn half(answer: &Answer, scissors: Scissors) -> Response {
    let bytes = Bytes::from(answer.body.clone());
    let length = bytes.len();
    let first = bytes.slice(..length / 2);
    let parts = stream::unfold(Some(first), move |first| {
        let scissors = scissors.clone();
        async move {
            if let Some(first) = first {
                return Some((Ok(first), None));
            }
            // What was given so far goes out while this waits.
            tokio::task::yield_now().await;
            scissors.cut();
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
    // A test may ask for a status or a header that HTTP can't carry.
    response
        .body(body)
        .unwrap_or_else(|error| (http::StatusCode::IM_A_TEAPOT, error.to_string()).into_response())
}
