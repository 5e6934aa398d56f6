//! Runs a sequence of events against several replicas, and checks every answer.

mod checks;
mod events;
mod time;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use engage_bff::clock::{Clock, ManualClock, Tick};
use jiff::Timestamp;
use tokio::task::{AbortHandle, yield_now};

use crate::{
    engage::{Engage, PARTS, Version},
    http::{self, Response},
    idle::Idle,
    ops::{Case, REPLICAS, Step},
    oracle::{CheckResult, Floors, Health, Oracle},
    replicas::Replica,
    standin::Standin,
};

/// A running case.
pub(crate) struct Machine {
    case: Case,
    idle: Idle,
    clock: ManualClock,
    time: Clock,
    engage: Engage,
    standin: Standin,
    replicas: Vec<Replica>,
    health: Vec<Health>,
    cut: Vec<bool>,
    deaf: Vec<bool>,
    /// Whether a fault of the tier is active, and whether it prevents every replica from reading the stream.
    tier_is_faulty: bool,
    tier_is_dark: bool,
    starts: usize,
    began: Tick,
    oracle: Oracle,
    sent: usize,
    reads: Vec<Read>,
    notices: Vec<PendingNotice>,
    done: Arc<Mutex<Vec<Done>>>,
    /// Since when calls to Engage are held, when they were last held, and until when failures of Engage may be in
    /// back-off.
    held_since: Option<Tick>,
    last_held: Option<Tick>,
    excused_until: Option<Tick>,
    /// Whether a call failed, the tier was disturbed, or a replica was restarted.
    was_disturbed: bool,
}

/// The number of a request, and its result.
type Done = (usize, io::Result<Response>);

/// A read without a response yet.
struct Read {
    number: usize,
    replica: usize,
    contact: usize,
    sent: Tick,
    floors: [(Version, &'static str); PARTS.len()],
    fresh: Option<(usize, Version)>,
    task: AbortHandle,
    text: String,
}

/// An invalidation without a response yet.
struct PendingNotice {
    number: usize,
    incarnation: usize,
    floors: Floors,
    /// Whether it covers more than it names.
    is_wide: bool,
    /// Whether the tier has disturbed its replica since.
    is_troubled: bool,
    replica: usize,
    text: String,
}

impl Machine {
    pub(crate) async fn new(case: &Case, idle: Idle) -> Self {
        fastrand::seed(case.seed);
        let start: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let clock = ManualClock::new(start);
        let time = Clock::from(clock.clone());
        let lag = if case.lags {
            crate::replicas::OVERVIEW_LAG
        } else {
            Duration::ZERO
        };
        let standin = Standin::new(time.clone());
        standin.set_offset(case.server_offset);
        let mut machine = Self {
            case: case.clone(),
            idle,
            clock,
            engage: Engage::start(start, lag, time.now().tick).await,
            began: time.now().tick,
            time,
            standin,
            replicas: Vec::new(),
            health: Vec::new(),
            cut: vec![false; REPLICAS],
            deaf: vec![false; REPLICAS],
            tier_is_faulty: false,
            tier_is_dark: false,
            starts: 0,
            oracle: Oracle::default(),
            sent: 0,
            reads: Vec::new(),
            notices: Vec::new(),
            done: Arc::default(),
            held_since: None,
            last_held: None,
            excused_until: None,
            was_disturbed: false,
        };
        for _ in 0..REPLICAS {
            let (replica, health) = machine.start_replica(true).await;
            machine.replicas.push(replica);
            machine.health.push(health);
        }
        machine
    }

    /// Runs the events, then ends all faults and reads everything at every replica and at a new one.
    pub(crate) async fn play(&mut self, steps: &[Step]) -> CheckResult {
        // By then the overview shows the contacts, and the replicas know the tier and one another.
        self.pass(self.engage.lag + Duration::from_secs(3)).await?;
        for replica in 0..REPLICAS {
            self.deliver_any(replica);
            self.pass(Duration::from_millis(1)).await?;
        }
        for Step { op, polls } in steps {
            self.note_troubles();
            self.tick();
            self.apply(op).await?;
            self.note_troubles();
            if *polls == 0 {
                self.settle().await?;
            }
            for _ in 0..*polls {
                yield_now().await;
            }
            self.check_answers()?;
        }
        self.finish().await
    }

    async fn start_replica(&mut self, is_first: bool) -> (Replica, Health) {
        let standin = self.case.has_tier.then_some(&self.standin);
        let incarnation = self.starts;
        self.starts += 1;
        let replica = Replica::start(incarnation, &self.engage, &self.clock, standin).await;
        self.oracle.started(incarnation, self.case.has_tier);
        let health = Health {
            incarnation,
            calm_since: Some(self.now()).filter(|_| self.case.has_tier),
            was_calm: is_first,
            dark_since: None,
        };
        (replica, health)
    }

    /// Waits until all tasks are idle, then checks what was answered.
    async fn settle(&mut self) -> CheckResult {
        let may_wait =
            self.tier_is_faulty || self.standin.is_disturbed() || !self.notices.is_empty();
        let patience = Duration::from_millis(if may_wait { 4 } else { 5000 });
        self.idle.settle(patience).await;
        self.check_answers()?;
        let now = self.now();
        for health in &self.health {
            self.oracle.spread(health, now);
        }
        Ok(())
    }

    /// Sends a request and returns its number; its response is stored in `done`.
    fn send(
        &mut self,
        address: SocketAddr,
        method: &'static str,
        target: String,
        fields: Vec<(String, String)>,
        body: String,
    ) -> (usize, AbortHandle) {
        let number = self.sent;
        self.sent += 1;
        let done = Arc::clone(&self.done);
        let task = tokio::spawn(async move {
            let response = http::send(address, method, &target, &fields, &body).await;
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((number, response));
        });
        (number, task.abort_handle())
    }

    fn now(&self) -> Tick {
        self.time.now().tick
    }
}
