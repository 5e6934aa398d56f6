//! The callers: an open load. Each request is sent when it is due, even if earlier ones are unanswered, and its latency
//! is measured from that moment. So a late response cannot hide the wait of the requests behind it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engage_bff::clock::{Clock, Tick};
use fastrand::Rng;
use reqwest::Client;

use crate::{
    Failure,
    child::KEYS,
    settings::{KNOWN, Settings},
};

/// The caller's time-out, which is longer than the service's.
const PATIENCE: Duration = Duration::from_secs(15);

/// One request and its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Whether the contact was not requested before.
    pub(crate) is_new: bool,
    /// When it was due.
    pub(crate) due: Tick,
    /// The time from then to the response.
    pub(crate) latency: Duration,
    /// The status; 0 without a response.
    pub(crate) status: u16,
    /// Whether the response came from memory.
    pub(crate) is_hit: bool,
    /// Whether the response was stale because Engage failed or was slow.
    pub(crate) is_stale_fallback: bool,
}

/// Sends the requests and gathers the samples.
pub(crate) struct Load {
    rate: u64,
    new_percent: u64,
    url: String,
    client: Client,
    contacts: Vec<String>,
    /// The cumulative probability of each known contact.
    weights: Vec<f64>,
    next_new: usize,
    rng: Rng,
    sent: usize,
    clock: Clock,
    samples: Arc<Mutex<Vec<Sample>>>,
}

impl Load {
    pub(crate) fn new(
        settings: &Settings,
        address: SocketAddr,
        contacts: Vec<String>,
        clock: Clock,
    ) -> Result<Self, Failure> {
        let mut sum = 0.0;
        let weights = (1..=KNOWN)
            .map(|rank| {
                sum += 1.0 / f64::from(u32::try_from(rank).unwrap_or(u32::MAX));
                sum
            })
            .collect();
        Ok(Self {
            rate: settings.rate,
            new_percent: settings.new_percent,
            url: format!("http://{address}/customer?contactId="),
            client: Client::builder().no_proxy().timeout(PATIENCE).build()?,
            contacts,
            weights,
            next_new: KNOWN,
            rng: Rng::with_seed(7),
            sent: 0,
            clock,
            samples: Arc::default(),
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Applies a function to all samples so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&[Sample]) -> T) -> T {
        look(&self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Requests every known contact once, slowly enough for the budget.
    pub(crate) async fn warm_up(&mut self) -> Result<(), Failure> {
        for index in 0..KNOWN {
            let due = self.clock.now().tick;
            let sample = self.ask(index, due).await;
            if sample.status != 200 {
                return Err(format!(
                    "the request for a known contact was answered with {}",
                    sample.status
                )
                .into());
            }
            self.clock
                .sleep_until(due + Duration::from_millis(60))
                .await;
        }
        Ok(())
    }

    /// Sends requests for this many seconds. Responses may arrive later.
    pub(crate) async fn send(&mut self, seconds: u64) -> Result<(), Failure> {
        let start = self.clock.now().tick;
        for index in 0..seconds * self.rate {
            let due = start + Duration::from_nanos(index * 1_000_000_000 / self.rate);
            self.clock.sleep_until(due).await;
            let contact = self.choose()?;
            let asked = self.ask(contact, due);
            let samples = Arc::clone(&self.samples);
            tokio::spawn(async move {
                let sample = asked.await;
                samples
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sample);
            });
        }
        let end = start + Duration::from_secs(seconds);
        self.clock.sleep_until(end).await;
        Ok(())
    }

    fn choose(&mut self) -> Result<usize, Failure> {
        if self.rng.u64(..100) < self.new_percent {
            self.next_new += 1;
            if self.next_new > self.contacts.len() {
                return Err("there are no new contacts left".into());
            }
            return Ok(self.next_new - 1);
        }
        let all = self.weights.last().copied().unwrap_or_default();
        let drawn = self.rng.f64() * all;
        let index = self.weights.partition_point(|weight| *weight <= drawn);
        Ok(index.min(KNOWN - 1))
    }

    fn ask(&mut self, contact: usize, due: Tick) -> impl Future<Output = Sample> + use<> {
        self.sent += 1;
        let request = self
            .client
            .get(format!("{}{}", self.url, self.contacts[contact]))
            .header("x-api-key", KEYS[self.sent % KEYS.len()]);
        let clock = self.clock.clone();
        async move {
            let mut sample = Sample {
                is_new: contact >= KNOWN,
                due,
                latency: Duration::ZERO,
                status: 0,
                is_hit: false,
                is_stale_fallback: false,
            };
            if let Ok(response) = request.send().await {
                let status = response.headers().get("cache-status");
                let cache = status.and_then(|status| status.to_str().ok());
                let says = |word: &str| cache.is_some_and(|cache| cache.contains(word));
                sample.is_hit = says("; hit");
                sample.is_stale_fallback = says("detail=stale-if-");
                let status = response.status().as_u16();
                if response.bytes().await.is_ok() {
                    sample.status = status;
                }
            }
            sample.latency = clock.now().tick.since(due);
            sample
        }
    }
}
