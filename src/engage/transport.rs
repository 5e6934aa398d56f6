//! HTTP transport: sends one GET, applies deadline and size limit, and maps every status to a result.
//!
//! Of a caller's request, only the identifier and the contact type are sent upstream, and the ids of its trace if
//! traces are on. Of a response, only a complete JSON body within the size limit is returned.

mod answer;
mod client;
mod failure;
mod pool;
mod refusal;

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::{
    Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderName},
};

use self::{
    client::Clients,
    pool::{Generation, Pools, TRIAL_TIMEOUT},
    refusal::Refusal,
};
use super::{
    error::{ABANDONED, Error, OTHER_ADDRESSES, RESOLVING, REUSED_CLOSED, SECURING, UNPROCESSED},
    exchange::{Exchange, RequestOptions, ResponseFuture},
    resolver::Resolver,
};
use crate::{
    clock::{Clock, Tick},
    config,
    domain::SpanContext,
};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest time of one attempt with this time-out: after it, the attempt may wait for the trial of a new pool.
pub(super) fn longest_attempt(timeout: Duration) -> Duration {
    timeout + TRIAL_TIMEOUT
}

/// HTTP transport to Engage.
pub(super) struct Transport {
    pools: Pools,
    /// `None` if the configuration contains an address instead of a name.
    resolver: Option<Resolver>,
    base: Url,
    timeout: Duration,
    /// Size limit of a response, in bytes. Real overviews have about 5 KB.
    max_answer: usize,
    clock: Clock,
}

/// Connections with another API key or other authorities, not in use yet.
pub struct NewConnections {
    clients: Clients,
    client: reqwest::Client,
}

impl Transport {
    /// Prepares connections with the configured API key and authorities. Fails if the authorities can't be read.
    pub(super) fn prepare(
        &self,
        config: &config::EngageConfig,
    ) -> Result<NewConnections, anyhow::Error> {
        let clients = Clients::new(config, self.resolver.clone())?;
        let client = clients.client()?;
        Ok(NewConnections { clients, client })
    }

    /// Makes calls over these connections from now on. Calls in flight finish on theirs.
    pub(super) fn replace(&self, new: NewConnections) {
        self.pools.replace(new.clients, new.client);
    }

    /// A transport to the configured Engage. Starts resolving its name.
    pub(super) fn new(config: &config::EngageConfig, clock: Clock) -> Result<Self, anyhow::Error> {
        let version = match config.api_version {
            config::ApiVersion::V3 => "v3",
            config::ApiVersion::V2 => "v2",
        };
        let mut base = Url::parse(&config.base_url)?;
        base.set_path(&format!("/api/{version}/"));
        let resolver = base.domain().map(|name| Resolver::new(name, clock.clone()));
        if let Some(resolver) = &resolver {
            resolver.start();
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

    async fn fetch(
        &self,
        path: &str,
        query: &[(&str, &str)],
        options: RequestOptions,
        deadline: Tick,
    ) -> Result<Bytes, Error> {
        let response = self.send(path, query, options.span, deadline).await?;
        let max_body = options.max_body.unwrap_or(self.max_answer);
        self.by(deadline, self.read(response, max_body)).await?
    }

    /// Makes a call like [`Exchange::get_with`]. Also returns the `Date` of the response (RFC 9110, 6.6.1).
    pub(super) async fn get_dated(
        &self,
        path: &str,
        query: &[(&str, &str)],
        options: RequestOptions,
    ) -> (Option<Timestamp>, Result<Bytes, Error>) {
        let deadline = self.clock.tick() + self.timeout;
        let max_body = options.max_body.unwrap_or(self.max_answer);
        let response = match self.send(path, query, options.span, deadline).await {
            Ok(response) => response,
            Err(error) => return (None, Err(error)),
        };
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| http_date(date.to_str().ok()?));
        let body = self.by(deadline, self.read(response, max_body)).await;
        (date, body.and_then(|body| body))
    }

    /// Sends the request and waits for the head of the response.
    async fn send(
        &self,
        path: &str,
        query: &[(&str, &str)],
        span: Option<SpanContext>,
        deadline: Tick,
    ) -> Result<Response, Error> {
        let mut url = self.base.join(path).map_err(|_| Error::invalid("path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let addresses = self.by(deadline, self.addresses()).await??;
        self.respond(url, span, &addresses, deadline).await
    }

    /// Applies the deadline to a future.
    async fn by<T>(&self, deadline: Tick, future: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.clock.sleep_until(deadline) => Err(Error::Timeout),
        }
    }

    /// The resolved addresses; empty if the configuration contains the address.
    async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let Some(resolver) = &self.resolver else {
            return Ok(Vec::new());
        };
        let unresolved = |_| Error::Unreachable { what: RESOLVING };
        resolver.addresses().await.map_err(unresolved)
    }

    /// Sends the request to these addresses and waits for the head of the response.
    async fn respond(
        &self,
        url: Url,
        span: Option<SpanContext>,
        addresses: &[SocketAddr],
        deadline: Tick,
    ) -> Result<Response, Error> {
        let generation = self.pools.current();
        let started_at = generation.start_call();
        let mut request = generation.client().get(url);
        if let Some(span) = span {
            request = request.header(TRACEPARENT, span.traceparent());
        }
        let mut sending = pin!(request.send());
        let mut abandoned = pin!(generation.abandoned(&self.clock));
        let (mut until, mut is_extended) = (deadline, false);
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut sending => break sent,
                () = self.clock.sleep_until(until) => {
                    let trial = self.pools.timed_out(&generation, started_at);
                    let Some(trial) = trial.filter(|trial| !is_extended && *trial > until) else {
                        return Err(Error::Timeout);
                    };
                    (until, is_extended) = (trial, true);
                }
                () = &mut abandoned => return Err(Error::Unreachable { what: ABANDONED }),
            }
        };
        match sent {
            Ok(response) if response.status() == StatusCode::REQUEST_TIMEOUT => {
                // Servers send this on connections that they close as idle (RFC 9110, 15.5.9): no request was read.
                self.pools.closed(&generation);
                Err(Error::Unreachable { what: UNPROCESSED })
            }
            Ok(response) => {
                let connection = failure::local_address(response.extensions());
                generation.responded(connection, self.clock.tick());
                Ok(response)
            }
            Err(error) if error.is_connect() => {
                let connect_error = self.connect_error(&error, addresses);
                Err(self.by(deadline, connect_error).await?)
            }
            Err(error) => Err(self.response_error(&error, &generation)),
        }
    }

    /// The error if no connection could be made.
    async fn connect_error(&self, error: &reqwest::Error, addresses: &[SocketAddr]) -> Error {
        if failure::is_about_tls(error) {
            return Error::Unreachable { what: SECURING };
        }
        if error.is_dns() {
            return Error::Unreachable { what: RESOLVING };
        }
        let timed_out = error.is_timeout();
        if let Some(resolver) = &self.resolver
            && resolver.has_other_addresses(addresses, timed_out).await
        {
            return Error::Unreachable {
                what: OTHER_ADDRESSES,
            };
        }
        if timed_out {
            return Error::Timeout;
        }
        Error::Unreachable { what: "connecting" }
    }

    /// The error if a connection gave no response.
    fn response_error(&self, error: &reqwest::Error, generation: &Arc<Generation>) -> Error {
        if failure::is_about_http(error) {
            return Error::invalid("head");
        }
        let is_reused =
            failure::connection(error).is_some_and(|connection| generation.is_reused(connection));
        if is_reused && failure::is_dead_connection(error) {
            self.pools.died(generation);
        }
        let is_unprocessed = failure::is_unprocessed(error);
        if (is_reused || is_unprocessed) && !failure::is_refused(error) {
            self.pools.closed(generation);
        }
        let what = if is_unprocessed {
            UNPROCESSED
        } else if is_reused {
            REUSED_CLOSED
        } else {
            "no response"
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
        let refusal = refusal::read(response, self.max_answer).await;
        Err(failure(status, refusal, retry_after))
    }

    /// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); `None` for zero or a past date.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let date = http_date(text)?;
            Duration::try_from(date.duration_since(self.clock.now().wall)).ok()?
        };
        (!wait.is_zero()).then_some(wait)
    }
}

impl Exchange for Arc<Transport> {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a> {
        self.get_with(path, query, RequestOptions::default())
    }

    fn get_with<'a>(
        &'a self,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        options: RequestOptions,
    ) -> ResponseFuture<'a> {
        let deadline = self.clock.tick() + self.timeout;
        Box::pin(self.fetch(path, query, options, deadline))
    }
}

/// A date as HTTP writes it (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(date.timestamp())
}

fn failure(status: StatusCode, refusal: Refusal, retry_after: Option<Duration>) -> Error {
    match (status.as_u16(), refusal.code) {
        (400, Some(code)) => Error::Rejected { code },
        (401, _) => Error::Unauthorized,
        (403, _) => Error::Forbidden,
        (404, Some(code)) if &*code == "ContactNotFound" => Error::NotFound,
        (404, Some(code)) if &*code == "RetailKpiNotCalculated" => Error::NotCalculated,
        (409, _) => Error::MultipleMatches(refusal.matches),
        (500, Some(code)) if &*code == "InvalidSystemConfiguration" => {
            Error::InvalidSystemConfiguration
        }
        (status, _) => Error::Failed {
            status,
            retry_after: retry_after.filter(|_| status >= 500),
        },
    }
}
