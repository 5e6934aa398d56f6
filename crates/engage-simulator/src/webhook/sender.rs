//! The worker that sends webhooks, and the record of deliveries.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::{DEFAULT_WEBHOOK_SECRET, Signed};

/// Svix's time-out for a receiver.
const WAIT_TIMEOUT: Duration = Duration::from_secs(15);

/// Target and secrets of webhooks.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookTarget {
    /// The receiver's address.
    pub url: String,
    /// The secret, `whsec_` and base64.
    pub secret: String,
    /// The key of 32 characters that payloads are encrypted with, if any.
    #[serde(default)]
    pub encryption_key: Option<String>,
}

/// The result of one delivery.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// The event's name.
    pub event: String,
    /// The `svix-id`.
    pub id: String,
    /// The receiver's status; `None` without a response.
    pub status: Option<u16>,
}

/// Sender of webhooks.
#[derive(Debug)]
pub(crate) struct Webhooks {
    target: Mutex<Option<WebhookTarget>>,
    secret: Mutex<String>,
    encryption_key: Mutex<Option<String>>,
    /// Sent webhooks, for resending.
    sent: Mutex<Vec<(String, Signed)>>,
    queue: mpsc::UnboundedSender<Outgoing>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    /// Number of queued and of finished deliveries.
    queued: Mutex<u64>,
    settled: watch::Receiver<u64>,
}

struct Outgoing {
    url: String,
    event: String,
    signed: Signed,
}

impl Webhooks {
    /// Starts the worker on the current runtime; it stops when the last handle is dropped, and the router keeps one
    /// until the shutdown.
    pub(crate) fn start() -> Self {
        let (queue, outgoing) = mpsc::unbounded_channel();
        let (report, settled) = watch::channel(0);
        let deliveries: Arc<Mutex<Vec<Delivery>>> = Arc::default();
        tokio::spawn(work(outgoing, deliveries.clone(), report));
        Self {
            target: Mutex::default(),
            secret: Mutex::new(DEFAULT_WEBHOOK_SECRET.to_owned()),
            encryption_key: Mutex::default(),
            sent: Mutex::default(),
            queue,
            deliveries,
            queued: Mutex::default(),
            settled,
        }
    }

    pub(crate) fn set_target(&self, target: Option<WebhookTarget>) {
        if let Some(target) = &target {
            lock(&self.secret).clone_from(&target.secret);
            lock(&self.encryption_key).clone_from(&target.encryption_key);
        }
        *lock(&self.target) = target;
    }

    pub(crate) fn has_target(&self) -> bool {
        lock(&self.target).is_some()
    }

    pub(crate) fn secret(&self) -> String {
        lock(&self.secret).clone()
    }

    pub(crate) fn encryption_key(&self) -> Option<String> {
        lock(&self.encryption_key).clone()
    }

    pub(crate) fn encrypt(&self, key: Option<&str>) {
        *lock(&self.encryption_key) = key.map(str::to_owned);
    }

    /// All sent webhooks, in order.
    pub(crate) fn sent(&self) -> Vec<(String, Signed)> {
        lock(&self.sent).clone()
    }

    /// Queues a message for the first time.
    pub(crate) fn send_new(&self, event: &str, signed: Signed) {
        lock(&self.sent).push((event.to_owned(), signed.clone()));
        self.send(event, signed);
    }

    /// Queues a delivery; no effect without a target.
    pub(crate) fn send(&self, event: &str, signed: Signed) {
        let Some(target) = lock(&self.target).clone() else {
            return;
        };
        let outgoing = Outgoing {
            url: target.url,
            event: event.to_owned(),
            signed,
        };
        let mut queued = lock(&self.queued);
        if self.queue.send(outgoing).is_ok() {
            *queued += 1;
        }
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        lock(&self.deliveries).clone()
    }

    /// Waits until all queued deliveries have a response or have failed.
    pub(crate) async fn settled(&self) {
        let queued = *lock(&self.queued);
        let mut settled = self.settled.clone();
        // An error means that the worker has stopped.
        let _ = settled.wait_for(|settled| *settled >= queued).await;
    }
}

async fn work(
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    report: watch::Sender<u64>,
) {
    // Without proxies from the environment, and without the machine's root certificates, which an image may not have:
    // deliveries go to a service under test, over plain HTTP.
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(WAIT_TIMEOUT)
        .build()
        .expect("a default client can be built");
    while let Some(next) = outgoing.recv().await {
        let id = next.signed.headers.get("svix-id");
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default();
        let id = id.to_owned();
        let request = client.post(&next.url).headers(next.signed.headers);
        let answered = request.body(next.signed.body).send().await;
        lock(&deliveries).push(Delivery {
            event: next.event,
            id,
            status: answered.ok().map(|response| response.status().as_u16()),
        });
        report.send_modify(|settled| *settled += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
