//! Sends finished spans to the collector, from a thread of its own: whatever the collector does, no request waits.
//!
//! A message is sent a second after its first span ended, or when it is full. A message that the collector does not
//! accept within five seconds is dropped and not sent again: losing a second's spans does little harm, and a growing
//! queue would do more.

use std::{io, sync::Arc, thread, time::Duration};

use arc_swap::ArcSwap;
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderValue},
    redirect::Policy,
};
use tokio::{runtime::Builder, sync::oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    otlp::{Source, rejected},
    queue::SpanQueue,
    span::Span,
    tracer::Tracer,
};
use crate::{
    clock::Clock,
    metrics::{self, Registry},
};

/// How long a span waits for others.
const LINGER: Duration = Duration::from_secs(1);
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Lifetime of an idle connection. It is shorter than what collectors and balancers allow, so that no message is sent
/// on a connection that is being closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the shutdown waits for the last spans.
pub const FLUSH: Duration = Duration::from_secs(1);
/// The longest response that is read, in bytes; a longer one is taken as success.
const MAX_RESPONSE: usize = 64 * 1024;

/// The collector, and the share of recorded requests.
#[derive(Debug)]
pub struct TraceSettings {
    /// The collector's endpoint for traces.
    pub endpoint: Url,
    /// The headers that the collector requires, such as a token.
    pub headers: HeaderMap,
    /// The certificate authorities that the collector's certificate may come from.
    pub roots: Vec<reqwest::Certificate>,
    /// The share of requests that are recorded if the caller does not decide it.
    pub ratio: f64,
}

/// Sends spans to the collector, once it has been started.
#[derive(Debug)]
pub struct Exporter {
    queue: Arc<SpanQueue>,
    source: Source,
    client: Client,
    endpoint: Url,
    headers: CollectorHeaders,
    clock: Clock,
}

/// The header fields that the collector requires, for every message from now on. Clones share them.
#[derive(Clone, Debug)]
pub struct CollectorHeaders(Arc<ArcSwap<HeaderMap>>);

impl CollectorHeaders {
    fn new(headers: HeaderMap) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(headers)))
    }

    /// Sends these fields from now on.
    pub fn replace(&self, headers: HeaderMap) {
        self.0.store(Arc::new(headers));
    }

    fn now(&self) -> HeaderMap {
        HeaderMap::clone(&self.0.load())
    }
}

/// Why the collector did not accept a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFailure {
    /// There is no connection, or it broke.
    Unreachable,
    /// It took too long.
    Timeout,
    /// It answered with this status.
    Refused(StatusCode),
}

impl metrics::Source for Exporter {
    fn register(&self, registry: &mut Registry) {
        self.queue.register(registry);
    }
}

impl Exporter {
    /// An exporter, and the tracer whose spans it sends.
    pub fn new(settings: TraceSettings, clock: Clock) -> Result<(Tracer, Self), reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("engage-bff/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TIMEOUT)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // A redirect or a proxy would receive the token.
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .tls_certs_only(settings.roots)
            .build()?;
        let queue = Arc::<SpanQueue>::default();
        let exporter = Self {
            queue: Arc::clone(&queue),
            source: Source {
                instance: uuid::Uuid::new_v4(),
            },
            client,
            endpoint: settings.endpoint,
            headers: CollectorHeaders::new(settings.headers),
            clock,
        };
        Ok((Tracer::new(queue, settings.ratio), exporter))
    }

    /// The headers that the collector requires. They can be replaced while messages are sent.
    pub fn headers(&self) -> CollectorHeaders {
        self.headers.clone()
    }

    /// Sends a message without spans, to see whether the collector accepts it.
    pub async fn try_out(&self) -> Result<(), ExportFailure> {
        self.post_in_time(&[]).await.map(drop)
    }

    /// Starts the sending thread.
    pub fn start(self) -> io::Result<RunningExport> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let closing = CancellationToken::new();
        let (end, ended) = oneshot::channel();
        let running = RunningExport {
            ended,
            clock: self.clock.clone(),
            closing: closing.clone().drop_guard(),
        };
        thread::Builder::new()
            .name("traces".to_owned())
            .spawn(move || {
                runtime.block_on(self.run(closing));
                // Fails if the service no longer waits.
                let _ = end.send(());
            })?;
        Ok(running)
    }

    /// Sends spans until the service ends, and then the remaining ones.
    async fn run(self, closing: CancellationToken) {
        let mut last_failure = None;
        loop {
            tokio::select! {
                biased;
                () = self.due() => {}
                () = closing.cancelled() => {}
            }
            let spans = self.queue.take();
            if !spans.is_empty() {
                let failure = self.send(&spans).await.err();
                log_change(last_failure, failure);
                last_failure = failure;
            } else if closing.is_cancelled() {
                return;
            }
        }
    }

    /// Waits until a message is due.
    async fn due(&self) {
        loop {
            match self.queue.first() {
                None => self.queue.added().await,
                Some((_, true)) => return,
                Some((ended, false)) => tokio::select! {
                    biased;
                    () = self.clock.sleep_until(ended + LINGER) => return,
                    () = self.queue.added() => {}
                },
            }
        }
    }

    /// Sends the spans and counts them.
    async fn send(&self, spans: &[Span]) -> Result<(), ExportFailure> {
        let outcome = self.post_in_time(spans).await;
        let count = spans.len() as u64;
        let dropped = outcome.map_or(count, |rejected| rejected.min(count));
        self.queue.count(count - dropped, dropped);
        outcome.map(drop)
    }

    /// Sends a message with these spans. Returns how many of them the collector rejected.
    async fn post_in_time(&self, spans: &[Span]) -> Result<u64, ExportFailure> {
        let message = self.source.encode(spans);
        let deadline = self.clock.tick() + TIMEOUT;
        tokio::select! {
            biased;
            outcome = self.post(message) => outcome,
            () = self.clock.sleep_until(deadline) => Err(ExportFailure::Timeout),
        }
    }

    async fn post(&self, message: Vec<u8>) -> Result<u64, ExportFailure> {
        let mut headers = self.headers.now();
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        let request = self.client.post(self.endpoint.clone()).headers(headers);
        let sent = request.body(message).send().await;
        let mut response = sent.map_err(|error| {
            if error.is_timeout() {
                ExportFailure::Timeout
            } else {
                ExportFailure::Unreachable
            }
        })?;
        if !response.status().is_success() {
            return Err(ExportFailure::Refused(response.status()));
        }
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            if body.len() + chunk.len() > MAX_RESPONSE {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok(rejected(&body))
    }
}

/// Logs only when spans begin to be lost and when they arrive again, not for every message.
fn log_change(before: Option<ExportFailure>, now: Option<ExportFailure>) {
    match (before, now) {
        (None, Some(failure)) => {
            let (why, status) = match failure {
                ExportFailure::Unreachable => ("unreachable", None),
                ExportFailure::Timeout => ("timeout", None),
                ExportFailure::Refused(status) => ("refused", Some(status.as_u16())),
            };
            tracing::warn!(why, status, "trace export failed");
        }
        (Some(_), None) => tracing::info!("trace export recovered"),
        _ => {}
    }
}

/// The sending thread. Dropping this ends the thread after the remaining spans are sent.
#[derive(Debug)]
pub struct RunningExport {
    ended: oneshot::Receiver<()>,
    clock: Clock,
    closing: DropGuard,
}

impl RunningExport {
    /// Sends the remaining spans, for at most a second.
    pub async fn finish(self) {
        let deadline = self.clock.tick() + FLUSH;
        drop(self.closing);
        tokio::select! {
            _ = self.ended => {}
            () = self.clock.sleep_until(deadline) => {}
        }
    }
}
