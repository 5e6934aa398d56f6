//! What can go wrong on the way to Engage, and how long the way takes.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    answer::{Answer, HTML, JSON, TEXT},
    endpoint::Endpoint,
};

/// One way for a call to fail or to be answered wrongly.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// Never answers; the connection stays open.
    Hang,
    /// Resets the connection instead of answering.
    ResetBeforeBody,
    /// Resets the connection after the head and half of the body.
    ResetMidBody,
    /// Answers whole as HTTP, with half of the JSON.
    TruncatedJson,
    /// A proxy's 502 page.
    Html502,
    /// A page with status 200, as from a login wall.
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
    /// The right answer, this much later; in JSON the number of milliseconds.
    #[serde(deserialize_with = "milliseconds")]
    Delay(Duration),
    /// 200 with this body as JSON, whatever was asked.
    Body(String),
    /// The right kind of answer, but about the contact with this id.
    WrongContact(String),
    /// These bytes on the wire, head and all, then the end of the connection: for answers that no
    /// honest server gives. In JSON a text.
    #[serde(deserialize_with = "text")]
    Raw(Bytes),
}

/// How a call ends on the wire.
#[derive(Debug)]
pub(crate) enum Ending {
    Whole(Answer),
    /// The head, half of the body, then a reset.
    Half(Answer),
    /// A reset without a byte.
    Nothing,
    /// These bytes, then the end of the connection.
    Raw(Bytes),
    /// Neither answer nor end.
    Never,
}

impl Fault {
    /// Spoils the answer that would have been given.
    pub(crate) fn spoil(&self, mut answer: Answer) -> Ending {
        match self {
            Self::Hang => return Ending::Never,
            Self::ResetBeforeBody => return Ending::Nothing,
            Self::ResetMidBody => return Ending::Half(answer),
            Self::Raw(bytes) => return Ending::Raw(bytes.clone()),
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
            // These two change when and about whom, not how.
            Self::Delay(_) | Self::WrongContact(_) => {}
        }
        Ending::Whole(answer)
    }

    pub(crate) fn delay(&self) -> Duration {
        match self {
            Self::Delay(delay) => *delay,
            _ => Duration::ZERO,
        }
    }

    pub(crate) fn impostor(&self) -> Option<&str> {
        match self {
            Self::WrongContact(id) => Some(id),
            _ => None,
        }
    }
}

/// How long an endpoint takes to answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Latency {
    /// Answers at once.
    None,
    /// Always takes this long.
    Fixed(Duration),
    /// Takes long now and then, as real services do.
    LogNormal {
        /// Half of the calls take longer.
        median: Duration,
        /// The standard deviation of the logarithm; 0.5 is calm, 1.0 is wild.
        sigma: f64,
    },
}

impl Latency {
    fn draw(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Fixed(latency) => latency,
            Self::LogNormal { median, sigma } => {
                // Box and Muller's way to a normally distributed number.
                let radius = (-2.0 * (1.0 - fastrand::f64()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * fastrand::f64()).cos();
                median.mul_f64((sigma * normal).exp().min(1e6))
            }
        }
    }
}

/// The faults and latencies that are in force.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    faults: Vec<Rule>,
    latencies: HashMap<Endpoint, Latency>,
}

#[derive(Debug)]
struct Rule {
    endpoint: Endpoint,
    fault: Fault,
    /// `None` is until cleared.
    left: Option<usize>,
}

impl Weather {
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

    /// The fault of this call: counted ones first, in the order in which they were added.
    pub(crate) fn take_fault(&mut self, called: Endpoint) -> Option<Fault> {
        let covering = |rule: &&mut Rule| rule.endpoint.covers(called);
        let mut counted = self.faults.iter_mut().filter(covering);
        if let Some((left, fault)) =
            counted.find_map(|rule| Some((rule.left.as_mut()?, rule.fault.clone())))
        {
            *left -= 1;
            self.faults.retain(|rule| rule.left != Some(0));
            return Some(fault);
        }
        let mut lasting = self.faults.iter().rev();
        let rule = lasting.find(|rule| rule.endpoint.covers(called))?;
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
    fn counted_faults_come_before_lasting_ones_and_end() {
        let mut weather = Weather::default();
        weather.add(Endpoint::All, Fault::Html502, None);
        weather.add(Endpoint::Contact, Fault::Hang, Some(2));
        let mut taken = || weather.take_fault(Endpoint::Contact);
        assert_eq!(taken(), Some(Fault::Hang));
        assert_eq!(taken(), Some(Fault::Hang));
        assert_eq!(taken(), Some(Fault::Html502));
        weather.clear_faults();
        assert_eq!(weather.take_fault(Endpoint::Contact), None);
    }
}
