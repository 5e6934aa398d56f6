//! One GET to Engage over HTTP: the headers it asks for, the bounds we keep to, and every status read
//! once.
//!
//! Nothing of a caller's request goes up but the identifier in the query, and nothing of Engage's
//! answer comes down but a body that was read to its end, is JSON and is not too large.

mod answer;
mod client;
mod failure;
mod pool;

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Response, StatusCode, Url,
    header::{self, HeaderMap},
};

use self::pool::{Generation, Pools};
use super::{
    Error,
    error::{KEPT, LEFT, MOVED, RESOLVING, SECURING, UNPROCESSED},
    exchange::{Answering, Exchange},
    resolver::Resolver,
};
use crate::{
    clock::{Clock, Tick},
    config,
};

/// Asks Engage.
pub(super) struct Transport {
    pools: Pools,
    /// Of Engage's name; none where the configuration names an address.
    resolver: Option<Resolver>,
    base: Url,
    timeout: Duration,
    /// The bytes of the largest answer that is read. Real overviews are some 5 KB.
    max_answer: usize,
    clock: Clock,
}

impl Transport {
    /// A transport for the configured Engage, whose name is looked up from now on.
    pub(super) fn new(config: &config::Engage, clock: Clock) -> Result<Self, anyhow::Error> {
        let version = match config.api_version {
            config::ApiVersion::V3 => "v3",
            config::ApiVersion::V2 => "v2",
        };
        let mut base = Url::parse(&config.base_url)?;
        base.set_path(&format!("/api/{version}/"));
        let resolver = base.domain().map(|name| Resolver::new(name, clock.clone()));
        if let Some(resolver) = &resolver {
            resolver.begin();
        }
        Ok(Self {
            pools: Pools::new(config, resolver.clone(), clock.clone())?,
            resolver,
            base,
            timeout: config.timeout,
            max_answer: usize::try_from(config.max_response_size.as_u64()).unwrap_or(usize::MAX),
            clock,
        })
    }

    async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        max_body: usize,
        deadline: Tick,
    ) -> Result<Bytes, Error> {
        let mut url = self.base.join(path).map_err(|_| Error::invalid("path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let addresses = self.by(deadline, self.addresses()).await??;
        let response = self.respond(url, &addresses, deadline).await?;
        self.by(deadline, self.read(response, max_body)).await?
    }

    /// What comes of it by then.
    async fn by<T>(&self, deadline: Tick, of: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            it = of => Ok(it),
            () = self.clock.sleep_until(deadline) => Err(Error::Timeout),
        }
    }

    /// Where connections are made to; nothing where the configuration says it.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let Some(resolver) = &self.resolver else {
            return Ok(Vec::new());
        };
        let unresolved = |_| Error::Unreachable { what: RESOLVING };
        resolver.addresses().await.map_err(unresolved)
    }

    /// Sends the request and waits for the head of the answer.
    async fn respond(
        &self,
        url: Url,
        addresses: &[SocketAddr],
        deadline: Tick,
    ) -> Result<Response, Error> {
        let generation = self.pools.current();
        let begun = generation.begin();
        let mut sending = pin!(generation.client().get(url).send());
        let mut leaving = pin!(generation.may_be_left(&self.clock));
        let (mut until, mut waits_on) = (deadline, false);
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut sending => break sent,
                () = self.clock.sleep_until(until) => {
                    let trial = self.pools.timed_out(&generation, begun);
                    let Some(trial) = trial.filter(|trial| !waits_on && *trial > until) else {
                        return Err(Error::Timeout);
                    };
                    (until, waits_on) = (trial, true);
                }
                () = &mut leaving => return Err(Error::Unreachable { what: LEFT }),
            }
        };
        match sent {
            Ok(response) if response.status() == StatusCode::REQUEST_TIMEOUT => {
                // What servers write to connections that they close as idle (RFC 9110, 15.5.9): no request was read.
                self.pools.ended(&generation);
                Err(Error::Unreachable { what: UNPROCESSED })
            }
            Ok(response) => {
                let connection = failure::local_address(response.extensions());
                generation.answered(connection, self.clock.tick());
                Ok(response)
            }
            Err(error) if error.is_connect() => {
                let unconnected = self.unconnected(&error, addresses);
                Err(self.by(deadline, unconnected).await?)
            }
            Err(error) => Err(self.unanswered(&error, &generation)),
        }
    }

    /// Why there is no connection.
    async fn unconnected(&self, error: &reqwest::Error, addresses: &[SocketAddr]) -> Error {
        if failure::is_about_tls(error) {
            return Error::Unreachable { what: SECURING };
        }
        if error.is_dns() {
            return Error::Unreachable { what: RESOLVING };
        }
        let timed_out = error.is_timeout();
        if let Some(resolver) = &self.resolver
            && resolver.leads_elsewhere(addresses, timed_out).await
        {
            return Error::Unreachable { what: MOVED };
        }
        if timed_out {
            return Error::Timeout;
        }
        Error::Unreachable { what: "connecting" }
    }

    /// Why no answer came over a connection.
    fn unanswered(&self, error: &reqwest::Error, generation: &Arc<Generation>) -> Error {
        if failure::is_about_http(error) {
            return Error::invalid("head");
        }
        let is_kept =
            failure::connection(error).is_some_and(|connection| generation.is_kept(connection));
        if is_kept && failure::is_about_silence(error) {
            self.pools.died(generation);
        }
        let is_unprocessed = failure::is_unprocessed(error);
        if (is_kept || is_unprocessed) && !failure::is_refused(error) {
            self.pools.ended(generation);
        }
        let what = if is_unprocessed {
            UNPROCESSED
        } else if is_kept {
            KEPT
        } else {
            "asking"
        };
        Error::Unreachable { what }
    }

    async fn read(&self, response: Response, max_body: usize) -> Result<Bytes, Error> {
        let status = response.status();
        if status.is_success() {
            let unreadable = answer::unreadable(response.headers());
            let body = answer::read(response, max_body).await?;
            return match unreadable {
                None => Ok(body),
                Some(field) => Err(Error::invalid(field)),
            };
        }
        let retry_after = self.retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Error::RateLimited { retry_after });
        }
        let code = answer::error_code(response, self.max_answer).await;
        Err(failure(status, code, retry_after))
    }

    /// Seconds or a date (RFC 9110, 10.2.3); "now" says nothing.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(self.clock.now().wall)).ok()?
        };
        (!wait.is_zero()).then_some(wait)
    }
}

impl Exchange for Transport {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Answering<'a> {
        self.get_large(path, query, self.max_answer)
    }

    fn get_large<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        max_body: usize,
    ) -> Answering<'a> {
        let deadline = self.clock.tick() + self.timeout;
        Box::pin(self.ask(path, query, max_body, deadline))
    }
}

fn failure(status: StatusCode, code: Option<Box<str>>, retry_after: Option<Duration>) -> Error {
    match (status.as_u16(), code) {
        (400, Some(code)) => Error::Rejected { code },
        (401, _) => Error::Unauthorized,
        (403, _) => Error::Forbidden,
        (404, Some(code)) if &*code == "ContactNotFound" => Error::NotFound,
        (409, _) => Error::MultipleMatches,
        (500, Some(code)) if &*code == "InvalidSystemConfiguration" => {
            Error::InvalidSystemConfiguration
        }
        (status, _) => Error::Failed {
            status,
            retry_after: retry_after.filter(|_| status >= 500),
        },
    }
}
