//! `GET /customer` and `POST /customer/lookup`: read the question, ask the hall, tell the answer.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{
    auth::Caller,
    directives::Directives,
    error::{ApiError, Code},
    lookup::{Ask, Carrier, LookupRules},
    params::Params,
    reply,
};
use crate::{
    clock::{Clock, Now},
    config::Scope,
    customer::{self, CustomerService, Question},
    engage,
};

/// `GET /customer`.
pub(super) async fn by_query(
    caller: Caller,
    State(customers): State<CustomerService>,
    State(rules): State<Arc<LookupRules>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::from_query(query.as_deref().unwrap_or_default())?;
    let read =
        |directives: &Directives, now| rules.read(params, Carrier::Url, &caller, directives, now);
    answer(&caller, &customers, &rules, &headers, read).await
}

/// `GET /customer/me`.
pub(super) async fn own(
    caller: Caller,
    State(customers): State<CustomerService>,
    State(rules): State<Arc<LookupRules>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let params = Params::from_query(query.as_deref().unwrap_or_default())?;
    let read = |directives: &Directives, _| rules.read_own(params, &caller, directives);
    answer(&caller, &customers, &rules, &headers, read).await
}

/// `POST /customer/lookup`.
pub(super) async fn by_body(
    caller: Caller,
    State(customers): State<CustomerService>,
    State(rules): State<Arc<LookupRules>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = read_body(&rules, customers.clock(), &headers, body).await?;
    let params = Params::from_json(&body)?;
    let read =
        |directives: &Directives, now| rules.read(params, Carrier::Body, &caller, directives, now);
    answer(&caller, &customers, &rules, &headers, read).await
}

async fn answer(
    caller: &Caller,
    customers: &CustomerService,
    rules: &LookupRules,
    headers: &HeaderMap,
    read: impl FnOnce(&Directives, Now) -> Result<Ask, ApiError>,
) -> Result<Response, ApiError> {
    let now = customers.clock().now();
    let directives = if caller.has(Scope::Fresh) {
        Directives::of(headers)
    } else {
        Directives::default()
    };
    let Ask {
        lookup,
        fresh,
        shape,
    } = read(&directives, now)?;
    let is_held_back = caller.is_held_back();
    let question = Question {
        client: caller.client_name(),
        lookup,
        asked: shape.asked,
        fresh,
        arrival: customers.arrival(),
        max_age: directives.max_age,
        only_if_cached: directives.only_if_cached || is_held_back,
        stale_if_error: !directives.no_stale_if_error,
        deadline: now.tick + rules.patience,
    };
    let found = customers.find(&question).await.map_err(|error| {
        match error {
            customer::Error::Upstream(engage::Error::NotFound) => {
                caller.found_nobody(&question.lookup);
            }
            customer::Error::NotCached if !directives.only_if_cached => return held_back(),
            _ => {}
        }
        ApiError::from(error)
    })?;
    caller.require_contact(found.record.id)?;
    let rendered = customers.render(&found, &shape);
    Ok(reply::customer(&rendered, &found.verdict, headers))
}

/// To a client that asked for too many unknown people: what is held is told, nobody else is looked up.
fn held_back() -> ApiError {
    ApiError::because(
        Code::RateLimited,
        "Too many of those asked for within a minute are unknown.",
    )
    .retry_after(Duration::from_secs(60))
}

/// The body of a look-up: JSON, plain, not too large and not too slow. The announced length is judged
/// before a byte is awaited.
async fn read_body(
    rules: &LookupRules,
    clock: &Clock,
    headers: &HeaderMap,
    body: Body,
) -> Result<bytes::Bytes, ApiError> {
    let is_json = headers.get(header::CONTENT_TYPE).is_some_and(is_json);
    if !is_json || headers.contains_key(header::CONTENT_ENCODING) {
        return Err(ApiError::new(Code::UnsupportedMediaType));
    }
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > rules.max_body as u64) {
        return Err(ApiError::new(Code::PayloadTooLarge));
    }
    let deadline = clock.now().tick + rules.body_timeout;
    let read = tokio::select! {
        biased;
        read = Limited::new(body, rules.max_body).collect() => read,
        () = clock.sleep_until(deadline) => {
            return Err(ApiError::because(Code::InvalidParameter, "the body did not arrive in time"));
        }
    };
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                ApiError::new(Code::PayloadTooLarge)
            } else {
                ApiError::because(Code::InvalidParameter, "the body broke off")
            }
        })
}

fn is_json(content_type: &HeaderValue) -> bool {
    let text = content_type.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    let is_utf8 = |parameter: &str| {
        parameter.eq_ignore_ascii_case("charset=utf-8")
            || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
    };
    is_json && parts.all(is_utf8)
}
