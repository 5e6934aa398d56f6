//! Replicas in this process, and the clock that they share.

use std::{sync::Arc, time::Duration};

use engage_bff::{
    cache::FetchStart,
    clock::{Clock, ManualClock, Tick},
    domain::{ContactId, PartSet},
    metrics::{Registry, Source as _},
    shared_tier::{
        AliasFill, Announced, Announcement, InvalidationScope, NotShared, Overtaken, SharedFetch,
        SharedFill, SharedLease, SharedTier, StreamEvent, TokenLeaseRequest, Unavailable, Wanted,
        protocol::Backend,
    },
};
use jiff::Timestamp;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    settings::{need, parts, settings, start},
    standin::{Connection, Standin},
};

/// A server and a clock.
pub(crate) struct Bench {
    pub(crate) clock: ManualClock,
    pub(crate) server: Standin,
}

/// A replica with a running background task.
pub(crate) struct Replica {
    pub(crate) tier: SharedTier,
    wire: Option<Connection>,
    events: mpsc::UnboundedReceiver<StreamEvent>,
    registry: Registry,
    clock: ManualClock,
    task: JoinHandle<()>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().expect("a time"));
        let server = Standin::new(Clock::from(clock.clone()));
        Self { clock, server }
    }

    /// A server, and two replicas that are connected to it.
    pub(crate) async fn with_two_replicas() -> (Self, Replica, Replica) {
        let bench = Self::new();
        let (one, two) = (bench.replica().await, bench.replica().await);
        (bench, one, two)
    }

    /// A replica whose keys are derived from these bytes. Not connected yet.
    pub(crate) fn replica_with_keys(&self, keys: &[u8]) -> Replica {
        let wire = self.server.connection();
        let mut replica = self.replica_over(keys, Arc::new(wire.clone()));
        replica.wire = Some(wire);
        replica
    }

    /// The same over another backend.
    pub(crate) fn replica_over(&self, keys: &[u8], backend: Arc<dyn Backend>) -> Replica {
        let clock = Clock::from(self.clock.clone());
        let tier = SharedTier::new(settings(keys), backend, clock);
        let mut registry = Registry::default();
        tier.register(&mut registry);
        let (sender, events) = mpsc::unbounded_channel();
        let running = tier.clone();
        let task = tokio::spawn(async move {
            let handle = |event| {
                let _ = sender.send(event);
                std::future::ready(())
            };
            running.run(handle).await;
        });
        Replica {
            tier,
            wire: None,
            events,
            registry,
            clock: self.clock.clone(),
            task,
        }
    }

    /// A connected replica.
    pub(crate) async fn replica(&self) -> Replica {
        let mut replica = self.replica_with_keys(&[1]);
        settle().await;
        assert!(replica.tier.is_available());
        let events = replica.events();
        assert_eq!(events.first(), Some(&StreamEvent::Gap));
        replica
    }

    /// Advances the clock in steps, so that tasks do their work when it is due.
    pub(crate) async fn pass(&self, time: Duration) {
        let step = Duration::from_millis(10);
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(step);
            settle().await;
            passed += step;
        }
    }
}

/// Lets every task run until it waits.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

impl Replica {
    /// Its connection to the stand-in.
    pub(crate) fn wire(&self) -> &Connection {
        self.wire.as_ref().expect("a connection to the stand-in")
    }

    /// The events of the stream, without the moments of catching up.
    pub(crate) fn events(&mut self) -> Vec<StreamEvent> {
        let all = self.all_events();
        let others = all
            .into_iter()
            .filter(|event| !matches!(event, StreamEvent::CaughtUp(_)));
        others.collect()
    }

    pub(crate) fn all_events(&mut self) -> Vec<StreamEvent> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// The last moment at which the replica had caught up.
    pub(crate) fn caught_up(&mut self) -> Option<Tick> {
        let mut events = self.all_events().into_iter().rev();
        events.find_map(|event| match event {
            StreamEvent::CaughtUp(tick) => Some(tick),
            _ => None,
        })
    }

    pub(crate) fn start(&self) -> FetchStart {
        start(&self.clock)
    }

    /// A request for tokens that lends the replica's share for a second.
    pub(crate) fn token_request(&self, wanted: u32) -> TokenLeaseRequest {
        TokenLeaseRequest {
            wanted,
            held: 0,
            returned: 0,
            known_replicas: 2,
            lent_until: self.start().now.tick + Duration::from_secs(1),
        }
    }

    pub(crate) async fn fetch(&self, wanted: Wanted<'_>) -> Result<SharedFetch, Unavailable> {
        self.tier.fetch(self.start(), need(wanted)).await
    }

    /// Fetches, and expects to get the lease.
    pub(crate) async fn lease(&self, wanted: Wanted<'_>) -> SharedLease {
        match self.fetch(wanted).await {
            Ok(SharedFetch::Leased(lease)) => lease,
            other => panic!("no lease: {other:?}"),
        }
    }

    /// Stores a contact's parts.
    pub(crate) async fn store(
        &self,
        lease: SharedLease,
        id: ContactId,
        alias: Option<AliasFill<'_>>,
    ) -> Overtaken {
        let start = self.start();
        let fill = SharedFill::Contact {
            id,
            alias,
            parts: &parts(start, "vip"),
            new_from_entity: PartSet::EMPTY,
        };
        self.tier.store(lease, start, fill).await
    }

    /// Leases a contact and stores it.
    pub(crate) async fn fill(&self, id: ContactId) -> Overtaken {
        let lease = self.lease(Wanted::Contact(id)).await;
        self.store(lease, id, None).await
    }

    pub(crate) async fn announce(
        &self,
        scope: InvalidationScope<'_>,
        payload: &[u8],
    ) -> Result<Announced, NotShared> {
        let announcement = Announcement {
            scope,
            message: None,
            payload: payload.to_vec(),
        };
        self.tier.announce(announcement).await
    }

    pub(crate) async fn purge_contact(&self, id: ContactId) -> Result<Announced, NotShared> {
        let scope = InvalidationScope::Contacts {
            contacts: &[(id, PartSet::ALL, true)],
            aliases: &[],
            negatives: false,
        };
        self.announce(scope, b"purge").await
    }

    /// The value of a metric, by the beginning of its line.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.registry.encode().expect("metrics");
        let text = text.replace("engage_bff_", "");
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}
