//! One GET to Engage over HTTP: the headers it asks for, the bounds we keep to, and every status read
//! once.
//!
//! Nothing of a caller's request goes up but the identifier in the query, and nothing of Engage's
//! answer comes down but a body that was read to its end, is JSON and is not too large.

use std::{
    io,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use bytes::{Buf, Bytes, BytesMut};
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
    redirect::Policy,
};
use secrecy::ExposeSecret;

use super::{
    Error,
    error::{READING, SECURING},
    exchange::{Answering, Exchange},
    resolver::Resolver,
    wire::replace_lone_surrogates,
};
use crate::{
    clock::{Clock, Tick},
    config,
};

/// U+FEFF, which some writers put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// How long a pool of connections is used. A busy connection never ends by itself, and would stay
/// where the name led when it was made.
const POOL_LIFETIME: Duration = Duration::from_secs(300);

/// Asks Engage.
pub(super) struct Transport {
    pools: Pools,
    pool: Mutex<(Client, Tick)>,
    base: Url,
    timeout: Duration,
    /// The bytes of the largest answer that is read. Real overviews are some 5 KB.
    max_answer: usize,
    clock: Clock,
}

/// How pools of connections are made.
struct Pools {
    headers: HeaderMap,
    user_agent: String,
    roots: Vec<reqwest::Certificate>,
    connect_timeout: Duration,
    max_idle: usize,
    resolver: Resolver,
}

impl Pools {
    fn new(config: &config::Engage) -> Result<Self, anyhow::Error> {
        let mut headers = HeaderMap::new();
        let key = config
            .api_key
            .as_ref()
            .map_or("", |key| key.expose_secret());
        let mut key = HeaderValue::from_str(key)?;
        key.set_sensitive(true);
        headers.insert("apikey", key);
        // Engage requires it on every request; without it even a GET may be answered with a 500
        // [Voyado: the Engage API].
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(Self {
            headers,
            user_agent: config.user_agent.clone(),
            roots: roots(config.ca_file.as_deref())?,
            connect_timeout: config.connect_timeout,
            max_idle: config.max_concurrency,
            resolver: Resolver::default(),
        })
    }

    fn make(&self) -> reqwest::Result<Client> {
        Client::builder()
            .default_headers(self.headers.clone())
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(self.max_idle)
            .tcp_nodelay(true)
            // A connection that died unnoticed is found out between calls, not by one.
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(5))
            .http2_keep_alive_while_idle(true)
            .dns_resolver(self.resolver.clone())
            // The key would go along to wherever a redirect or a proxy points.
            .redirect(Policy::none())
            // What is tried again is decided and counted by admission.
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tls_certs_only(self.roots.clone())
            .build()
    }
}

/// The certificates of the authorities that may vouch for Engage: those of a file, else the usual ones.
fn roots(file: Option<&Path>) -> Result<Vec<reqwest::Certificate>, anyhow::Error> {
    if let Some(file) = file {
        let bundle = std::fs::read(file).context("engage.ca_file can't be read")?;
        return reqwest::Certificate::from_pem_bundle(&bundle)
            .context("engage.ca_file holds no certificates");
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    Ok(roots
        .map(|certificate| reqwest::Certificate::from_der(certificate))
        .collect::<Result<_, _>>()?)
}

impl Transport {
    /// A transport for the configured Engage.
    pub(super) fn new(config: &config::Engage, clock: Clock) -> Result<Self, anyhow::Error> {
        let version = match config.api_version {
            config::ApiVersion::V3 => "v3",
            config::ApiVersion::V2 => "v2",
        };
        let mut base = Url::parse(&config.base_url)?;
        base.set_path(&format!("/api/{version}/"));
        let pools = Pools::new(config)?;
        Ok(Self {
            pool: Mutex::new((pools.make()?, clock.now().tick)),
            pools,
            base,
            timeout: config.timeout,
            max_answer: usize::try_from(config.max_response_size.as_u64()).unwrap_or(usize::MAX),
            clock,
        })
    }

    /// The pool of connections, a new one where it is too old. Calls under way keep theirs.
    fn client(&self) -> Client {
        let now = self.clock.now().tick;
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(pool.1) >= POOL_LIFETIME
            && let Ok(client) = self.pools.make()
        {
            *pool = (client, now);
        }
        pool.0.clone()
    }

    async fn ask(
        &self,
        path: &str,
        query: &[(&str, &str)],
        max_body: usize,
    ) -> Result<Bytes, Error> {
        let mut url = self.base.join(path).map_err(|_| Error::invalid("path"))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let response = self
            .client()
            .get(url)
            .send()
            .await
            .map_err(|error| unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            let is_json = is_json(response.headers());
            // None was asked for, so nothing here can grow beyond what is read.
            let is_plain = !response.headers().contains_key(header::CONTENT_ENCODING);
            let body = read(response, max_body).await?;
            if !is_json {
                return Err(Error::invalid("content-type"));
            }
            if !is_plain {
                return Err(Error::invalid("content-encoding"));
            }
            return Ok(body);
        }
        let retry_after = self.retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Error::RateLimited { retry_after });
        }
        let code = error_code(response, self.max_answer).await;
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
        let deadline = self.clock.now().tick + self.timeout;
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = self.ask(path, query, max_body) => answer,
                () = self.clock.sleep_until(deadline) => Err(Error::Timeout),
            }
        })
    }
}

/// reqwest's errors print the whole URL, and with it the identifier: only the step is kept.
fn unreachable(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        return Error::Timeout;
    }
    if is_about_http(error) {
        return Error::invalid("head");
    }
    let what = if error.is_connect() && is_about_tls(error) {
        SECURING
    } else if error.is_connect() {
        "connecting"
    } else if error.is_body() || error.is_decode() {
        READING
    } else {
        "asking"
    };
    Error::Unreachable { what }
}

/// rustls tells its failures as invalid data.
fn is_about_tls(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| {
        let kind = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::InvalidData)
    })
}

/// An answer came whose head is no HTTP: asking once more would not make it any.
fn is_about_http(error: &reqwest::Error) -> bool {
    error.is_request()
        && causes(error).any(|cause| {
            let error = cause.downcast_ref::<hyper::Error>();
            error.is_some_and(hyper::Error::is_parse)
        })
}

/// What led to the error. An I/O error that wraps another names the other's cause as its own, and so
/// leaves the other out: it is looked into instead.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first = std::error::Error::source(error);
    std::iter::successors(first, |error| match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.get_ref()? as _),
        None => error.source(),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || essence.eq_ignore_ascii_case("text/json")
        || (essence.len() > 17
            && essence.is_char_boundary(12)
            && essence[..12].eq_ignore_ascii_case("application/")
            && essence.to_ascii_lowercase().ends_with("+json"))
}

/// The body, as JSON that every parser reads.
async fn read(mut response: Response, max_body: usize) -> Result<Bytes, Error> {
    if response
        .content_length()
        .is_some_and(|length| length > max_body as u64)
    {
        return Err(Error::too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| unreachable(&error))?
    {
        if body.len() + chunk.len() > max_body {
            return Err(Error::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        body.advance(BYTE_ORDER_MARK.len());
    }
    replace_lone_surrogates(&mut body);
    Ok(body.freeze())
}

/// The `errorCode` of a failure's body, where it has one that looks like a code.
async fn error_code(response: Response, max_body: usize) -> Option<Box<str>> {
    let body = read(response, max_body).await.ok()?;
    let body: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&body).ok()?;
    let code = body
        .get("errorCode")
        .or_else(|| body.get("ErrorCode"))?
        .as_str()?;
    let is_code =
        (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_code.then(|| code.into())
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
