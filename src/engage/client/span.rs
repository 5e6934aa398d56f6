//! The spans of calls: the endpoint, the wait for the budget, the retries, and the result. A span contains no URL,
//! because a URL contains the identifier.

use std::sync::Arc;

use reqwest::Url;

use crate::{
    clock::{Clock, Now, Tick},
    domain::{ContactId, FlightTrace, SpanContext},
    engage::{admission::Permit, error::Error},
    traces::{Span, SpanEvent, SpanKind, Value},
};

/// Every path that is requested, with `{id}` in place of a contact's id, and the name for any other path.
const TEMPLATES: [&str; 15] = [
    "/contactoverview",
    "/contacts/changes",
    "/contacts/id",
    "/contacts/{id}",
    "/contacts/{id}/bonuschecks/available",
    "/contacts/{id}/bonuschecks/redeemed",
    "/contacts/{id}/bonuspointtransactions",
    "/contacts/{id}/promotions",
    "/contacts/{id}/purchasehistorysummary",
    "/point-accounts",
    "/point-accounts/definitions",
    "/point-transactions",
    "/reward-vouchers/available",
    "/reward-vouchers/redeemed",
    OTHER,
];
const OTHER: &str = "(other)";

/// The server that calls go to.
#[derive(Debug, Default)]
pub(super) struct Upstream {
    host: Option<Arc<str>>,
    port: Option<u16>,
}

impl Upstream {
    /// The host and the port of a URL.
    pub(super) fn of(url: &str) -> Self {
        let Ok(url) = Url::parse(url) else {
            return Self::default();
        };
        Self {
            host: url.host_str().map(Into::into),
            port: url.port_or_known_default(),
        }
    }
}

/// The span of a call, until it ends.
pub(super) struct CallSpan {
    flight: Arc<FlightTrace>,
    context: SpanContext,
    template: &'static str,
    started: Now,
    retries: Vec<SpanEvent>,
}

impl CallSpan {
    /// Begins the span of a call of this path. `None` if the permit's flight has no span.
    pub(super) fn begin(permit: &Permit, path: &str, clock: &Clock) -> Option<Self> {
        let flight = permit.trace()?;
        Some(Self {
            flight: Arc::clone(flight),
            context: flight.context().child(),
            template: template(path),
            started: clock.now(),
            retries: Vec::new(),
        })
    }

    /// The span's context, as sent to Engage.
    pub(super) fn context(&self) -> SpanContext {
        self.context
    }

    /// Records that an attempt failed and another one begins.
    pub(super) fn retried(&mut self, error: &Error, at: Tick) {
        self.retries.push(SpanEvent {
            name: "retry",
            at,
            attributes: vec![("error.type", Value::Name(error.kind()))],
        });
    }

    /// Ends the span with the result of the call.
    pub(super) fn end(
        self,
        permit: &Permit,
        upstream: &Upstream,
        error: Option<&Error>,
        ended: Tick,
    ) -> Span {
        let mut attributes = vec![
            ("http.request.method", Value::Name("GET")),
            ("url.template", Value::Name(self.template)),
            ("engage.group", Value::Name(permit.group().as_str())),
            ("engage.queue_ms", Value::Millis(permit.take_waited())),
        ];
        if let Some(host) = &upstream.host {
            attributes.push(("server.address", Value::Host(Arc::clone(host))));
        }
        if let Some(port) = upstream.port {
            attributes.push(("server.port", Value::Number(port.into())));
        }
        if let Some(status) = status(error) {
            attributes.push(("http.response.status_code", Value::Number(status.into())));
        }
        if !self.retries.is_empty() {
            let count = i64::try_from(self.retries.len()).unwrap_or(i64::MAX);
            attributes.push(("http.request.resend_count", Value::Number(count)));
        }
        if let Some(error) = error {
            attributes.push(("error.type", Value::Name(error.kind())));
        }
        Span {
            // By now other requests may have joined the flight, and one of them may be sampled.
            context: SpanContext {
                is_sampled: self.flight.context().is_sampled,
                ..self.context
            },
            parent: Some(self.flight.context().span),
            has_remote_parent: false,
            name: ["GET", self.template],
            kind: SpanKind::Client,
            started: self.started,
            ended,
            // "This identifier leads to no contact" is an answer, not an error.
            is_error: error.is_some_and(|error| !error.is_about_the_identifier()),
            attributes,
            events: self.retries,
            links: Vec::new(),
        }
    }
}

/// The template of a path.
fn template(path: &str) -> &'static str {
    let matches = |template: &&str| {
        let (mut expected, mut actual) = (template[1..].split('/'), path.split('/'));
        loop {
            match (expected.next(), actual.next()) {
                (None, None) => return true,
                (Some("{id}"), Some(segment)) if ContactId::parse(segment).is_some() => {}
                (Some(expected), Some(actual)) if expected == actual => {}
                _ => return false,
            }
        }
    };
    let found = TEMPLATES.into_iter().find(|template| matches(template));
    found.unwrap_or(OTHER)
}

/// The status of the response, if the outcome shows it.
fn status(error: Option<&Error>) -> Option<u16> {
    let Some(error) = error else {
        return Some(200);
    };
    match error {
        Error::Rejected { .. } => Some(400),
        Error::Unauthorized => Some(401),
        Error::Forbidden => Some(403),
        Error::NotFound | Error::NotCalculated => Some(404),
        Error::MultipleMatches(_) => Some(409),
        Error::RateLimited { .. } => Some(429),
        Error::InvalidSystemConfiguration => Some(500),
        Error::Failed { status, .. } => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_of_a_path_contains_no_id() {
        let id = "9a1c6a9e-5b52-4c5c-8d0f-1f0e4a7b2c3d";
        for (path, expected) in [
            ("contactoverview", "/contactoverview"),
            ("contacts/id", "/contacts/id"),
            ("contacts/changes", "/contacts/changes"),
            (&*format!("contacts/{id}"), "/contacts/{id}"),
            (
                &*format!("contacts/{id}/promotions"),
                "/contacts/{id}/promotions",
            ),
            ("reward-vouchers/available", "/reward-vouchers/available"),
            ("contacts/alva.testsson@example.com", OTHER),
            ("contacts", OTHER),
            (&*format!("contacts/{id}/promotions/1"), OTHER),
            ("", OTHER),
        ] {
            assert_eq!(template(path), expected, "{path}");
        }
    }

    #[test]
    fn upstream_is_the_host_and_port_of_the_url() {
        let upstream = Upstream::of("https://shop.example.com/");
        assert_eq!(upstream.host.as_deref(), Some("shop.example.com"));
        assert_eq!(upstream.port, Some(443));
    }
}
