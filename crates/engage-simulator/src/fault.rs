//! Simulated faults and latencies.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    answer::{Answer, HTML, JSON, TEXT},
    endpoint::Endpoint,
};

/// A way for a call to fail, or to get a wrong or late response.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// Never responds; the connection stays open.
    Hang,
    /// Resets the connection instead of responding.
    ResetBeforeBody,
    /// Resets the connection after the head and half of the body.
    ResetMidBody,
    /// A complete HTTP response with half of the JSON.
    TruncatedJson,
    /// A proxy's 502 page.
    Html502,
    /// A page with status 200, such as a login page.
    HtmlOk200,
    /// The right body under `text/plain`.
    WrongContentType,
    /// Status 200 and no body.
    Empty200,
    /// 429, with or without `Retry-After`.
    TooMany {
        /// The header's value, verbatim.
        retry_after: Option<String>,
    },
    /// Any status; a JSON string is sent as plain text, anything else as JSON.
    Status(u16, Value),
    /// The right response after this delay; in JSON in milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    Delay(Duration),
    /// 200 with this JSON body for any request.
    Body(String),
    /// The right kind of response, but about the contact with this id.
    WrongContact(String),
    /// These raw bytes including the head, then the end of the connection: for responses that no correct server sends. In
    /// JSON a string.
    #[serde(deserialize_with = "text")]
    Raw(Bytes),
}

/// How a call ends on the wire.
#[derive(Debug)]
pub(crate) enum Outcome {
    Complete(Answer),
    /// The head, half of the body, then a reset.
    Partial(Answer),
    /// A reset without any byte.
    Reset,
    /// These bytes, then the end of the connection.
    Raw(Bytes),
    /// Neither response nor end.
    Hang,
}

impl Fault {
    /// Applies the fault to the right response.
    pub(crate) fn apply(&self, mut answer: Answer) -> Outcome {
        match self {
            Self::Hang => return Outcome::Hang,
            Self::ResetBeforeBody => return Outcome::Reset,
            Self::ResetMidBody => return Outcome::Partial(answer),
            Self::Raw(bytes) => return Outcome::Raw(bytes.clone()),
            Self::TruncatedJson => {
                let half = answer.body.floor_char_boundary(answer.body.len() / 2);
                answer.body.truncate(half);
            }
            Self::Html502 => {
                answer = Answer::new(
                    502,
                    HTML,
                    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>",
                );
            }
            Self::HtmlOk200 => {
                answer = Answer::new(
                    200,
                    HTML,
                    "<!doctype html><html><title>Sign in</title><body>Please sign in.</body></html>",
                );
            }
            Self::WrongContentType => answer.content_type = TEXT,
            Self::Empty200 => answer = Answer::new(200, JSON, ""),
            Self::TooMany { retry_after } => {
                answer = Answer::new(429, TEXT, "Too Many Requests");
                answer.retry_after.clone_from(retry_after);
            }
            Self::Status(status, Value::String(text)) => answer = Answer::new(*status, TEXT, text),
            Self::Status(status, body) => answer = Answer::new(*status, JSON, body.to_string()),
            Self::Body(body) => answer = Answer::new(200, JSON, body),
            // Applied elsewhere: to the time and to the contact.
            Self::Delay(_) | Self::WrongContact(_) => {}
        }
        Outcome::Complete(answer)
    }

    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::Delay(delay) => *delay,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn substitute(&self) -> Option<&str> {
        match self {
            Self::WrongContact(id) => Some(id),
            _ => None,
        }
    }
}

/// Response time of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// No latency.
    None,
    /// A constant latency.
    Fixed(Duration),
    /// A log-normal latency, as real services have.
    LogNormal {
        /// The median.
        median: Duration,
        /// The standard deviation of the logarithm; 0.5 is moderate, 1.0 is strong.
        sigma: f64,
    },
}

impl Latency {
    fn draw(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(latency) => latency,
            Self::LogNormal { median, sigma } => {
                // The Box-Muller transform to a normal distribution.
                let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * fastrand::f64()).cos();
                median.mul_f64((sigma * normal).exp().min(1e6))
            }
        }
    }
}

/// The active faults and latencies.
#[derive(Debug, Default)]
pub(crate) struct NetworkConditions {
    faults: Vec<Rule>,
    latencies: HashMap<Endpoint, Latency>,
}

#[derive(Debug)]
struct Rule {
    endpoint: Endpoint,
    fault: Fault,
    /// `None` means until cleared.
    left: Option<usize>,
}

impl NetworkConditions {
    pub(crate) fn add(&mut self, endpoint: Endpoint, fault: Fault, times: Option<usize>) {
        if times.is_none() {
            self.faults
                .retain(|rule| rule.left.is_some() || rule.endpoint != endpoint);
        }
        self.faults.push(Rule {
            endpoint,
            fault,
            left: times,
        });
    }

    pub(crate) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    pub(crate) fn set_latency(&mut self, endpoint: Endpoint, latency: Latency) {
        if endpoint == Endpoint::All {
            self.latencies.clear();
        }
        self.latencies.insert(endpoint, latency);
    }

    /// The fault of this call: the earliest limited one, or else the latest unlimited one.
    pub(crate) fn take_fault(&mut self, called: Endpoint) -> Option<Fault> {
        let covering = |rule: &&mut Rule| rule.endpoint.covers(called);
        let mut limited = self.faults.iter_mut().filter(covering);
        if let Some((left, fault)) =
            limited.find_map(|rule| Some((rule.left.as_mut()?, rule.fault.clone())))
        {
            *left -= 1;
            self.faults.retain(|rule| rule.left != Some(0));
            return Some(fault);
        }
        let mut unlimited = self.faults.iter().rev();
        let rule = unlimited.find(|rule| rule.endpoint.covers(called))?;
        Some(rule.fault.clone())
    }

    pub(crate) fn draw_latency(&self, called: Endpoint) -> Duration {
        let own = self.latencies.get(&called);
        let latency = own.or_else(|| self.latencies.get(&Endpoint::All));
        latency.copied().unwrap_or(Latency::None).draw()
    }
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    String::deserialize(from).map(Bytes::from)
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_faults_precede_unlimited_ones() {
        let mut conditions = NetworkConditions::default();
        conditions.add(Endpoint::All, Fault::Html502, None);
        conditions.add(Endpoint::Contact, Fault::Hang, Some(2));
        let mut taken = || conditions.take_fault(Endpoint::Contact);
        assert_eq!(taken(), Some(Fault::Hang));
        assert_eq!(taken(), Some(Fault::Hang));
        assert_eq!(taken(), Some(Fault::Html502));
        conditions.clear_faults();
        assert_eq!(conditions.take_fault(Endpoint::Contact), None);
    }
}
