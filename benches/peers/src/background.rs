//! Background load while hits are measured: misses, and webhooks about contacts that are not requested.

use std::{
    net::SocketAddr,
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, interval},
};

use crate::{
    Failure,
    caller::{Caller, get},
    contacts::email,
    delivery::Deliveries,
    service::Service,
};

/// How often a batch is sent.
const PAUSE: Duration = Duration::from_millis(20);
/// Webhooks in each batch: a thousand a second.
const INVALIDATIONS: usize = 20;
/// The contacts that the webhooks are about, in turn. None is requested while hits are measured.
const CHANGING: std::ops::Range<usize> = 5_000_000..5_020_000;
const UNKNOWN: u64 = 6_000_000;

/// The target of the background load, and how much has run.
pub(crate) struct Background {
    address: SocketAddr,
    /// The number of batches so far.
    done: Arc<AtomicU64>,
    busy: Arc<AtomicU64>,
}

/// Background load until it is stopped.
pub(crate) struct Running {
    task: JoinHandle<Result<(), Failure>>,
    started: Instant,
    busy: Arc<AtomicU64>,
}

impl Background {
    pub(crate) fn new(service: &Service) -> Self {
        Self {
            address: service.server.address,
            done: Arc::default(),
            busy: Arc::default(),
        }
    }

    pub(crate) fn start(&self) -> Running {
        let done = Arc::clone(&self.done);
        Running {
            task: tokio::spawn(run(self.address, done)),
            started: Instant::now(),
            busy: Arc::clone(&self.busy),
        }
    }

    /// The number of misses so far.
    pub(crate) fn misses(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Batches a second, of one miss and twenty invalidations each: fifty if the server keeps up.
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub(crate) fn batches_a_second(&self) -> f64 {
        let busy = self.busy.load(Ordering::Relaxed) as f64 / 1_000_000.0;
        self.done.load(Ordering::Relaxed) as f64 / busy
    }
}

impl Running {
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let lasted = u64::try_from(self.started.elapsed().as_micros())?;
        self.busy.fetch_add(lasted, Ordering::Relaxed);
        if self.task.is_finished() {
            return self.task.await?;
        }
        self.task.abort();
        Ok(())
    }
}

async fn run(address: SocketAddr, done: Arc<AtomicU64>) -> Result<(), Failure> {
    let mut asking = Caller::connect(address).await?;
    let mut webhooks = Caller::connect(address).await?;
    let mut deliveries = Deliveries::new()?;
    let mut beat = interval(PAUSE);
    let mut changing = CHANGING.cycle();
    loop {
        beat.tick().await;
        let mut batch = Vec::new();
        for number in (&mut changing).take(INVALIDATIONS) {
            batch.extend(deliveries.of(number)?);
        }
        webhooks.send(&batch).await?;
        let number = UNKNOWN + done.load(Ordering::Relaxed);
        asking
            .ask(&miss(usize::try_from(number)?))
            .await?
            .expect(200)?;
        for _ in 0..INVALIDATIONS {
            webhooks.reply().await?.expect(204)?;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

pub(crate) fn miss(number: usize) -> Vec<u8> {
    let email = email(number).replace('@', "%40");
    get(&format!("/customer?email={email}&parts=none"), "")
}
