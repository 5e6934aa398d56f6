//! Records what was acknowledged and when, at which times the server worked, and what was read.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use engage_bff::clock::{Clock, Tick};

use crate::harness::wait;

/// The greatest age while the server works.
const BOUND: Duration = Duration::from_secs(1);
/// How long a replica may trust its memory after the stream was cut.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer pause of this process counts as a disturbance, because a message may then take longer than a second.
const STALL: Duration = Duration::from_millis(400);

/// The changing data of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Name,
    Points,
}

/// The record of the run.
pub(super) struct Ledger {
    clock: Clock,
    fallback: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// For each contact and field, the versions and the times at which they were acknowledged, in order.
    acknowledged: BTreeMap<(usize, Field), Vec<(u64, Tick)>>,
    /// The periods in which the server did not work for all replicas, with the cause. One of them may not have ended.
    disturbed: Vec<(Tick, Tick, String)>,
    /// The reads while the server worked, and those while it did not: how many there were, how many returned old data,
    /// and the greatest age.
    tallies: [Tally; 2],
    violations: Vec<String>,
    failures: Vec<String>,
    statuses: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    reads: usize,
    old: usize,
    worst: Duration,
}

/// A read of one field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) replica: usize,
    pub(super) contact: usize,
    pub(super) field: Field,
    pub(super) version: u64,
    pub(super) asked: Tick,
}

impl Ledger {
    pub(super) fn new(clock: Clock, fallback: Duration) -> Self {
        Self {
            clock,
            fallback,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that an invalidation of everything before this version was acknowledged now.
    pub(super) fn acknowledge(&self, contact: usize, field: Field, version: u64) {
        let now = self.clock.tick();
        let mut state = self.state();
        state
            .acknowledged
            .entry((contact, field))
            .or_default()
            .push((version, now));
    }

    /// Records that the server may not work for all replicas from now on.
    pub(super) fn begin(&self, what: String) {
        let now = self.clock.tick();
        self.state().disturbed.push((now, Tick::END, what));
    }

    /// Records that it works again from now on.
    pub(super) fn end(&self) {
        let now = self.clock.tick();
        let mut state = self.state();
        let open = state.disturbed.iter_mut().rev();
        for (_, until, _) in open.filter(|(_, until, _)| *until == Tick::END) {
            *until = now;
        }
    }

    /// Records when this process itself, with all its replicas, did not run.
    pub(super) async fn note_stalls(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let before = self.clock.tick();
            wait(STALL / 8).await;
            let after = self.clock.tick();
            if after.since(before) > STALL {
                let stall = (before, after, "a stall of the machine".to_owned());
                self.state().disturbed.push(stall);
            }
        }
    }

    /// Records that a time-out on a busy machine has just cut off a replica.
    pub(super) fn note_cut_off(&self) {
        let now = self.clock.tick();
        let mut state = self.state();
        match state.disturbed.last_mut() {
            Some((_, until, _)) if *until == Tick::END || now.since(*until) < STALL => {
                *until = (*until).max(now);
            }
            _ => state
                .disturbed
                .push((now, now, "a replica that was cut off by load".to_owned())),
        }
    }

    /// Records the result of a read that has just ended.
    pub(super) fn read(&self, seen: Seen) {
        let now = self.clock.tick();
        let mut state = self.state();
        let newer = state.acknowledged.get(&(seen.contact, seen.field));
        // The earliest acknowledged of the newer versions.
        let newer = newer.into_iter().flatten();
        let newer = newer.filter(|(version, at)| *version > seen.version && *at <= seen.asked);
        let missed = newer.min_by_key(|(_, at)| *at).copied();
        let age = missed.map_or(Duration::ZERO, |(_, at)| seen.asked.since(at));
        let since = seen.asked - BOUND;
        let disturbed = state
            .disturbed
            .iter()
            .rev()
            .find(|(from, until, _)| *from <= now && *until >= since);
        let what = disturbed.map(|(.., what)| what.clone());
        let bound = if what.is_some() {
            self.fallback.max(PATIENCE)
        } else {
            BOUND
        };
        if age >= bound {
            let (version, _) = missed.expect("it is older");
            let violation = format!(
                "replica {}, {seen:?}: version {version} was acknowledged {age:?} before; {}",
                seen.replica,
                what.as_deref().unwrap_or("the server worked"),
            );
            state.violations.push(violation);
        }
        let tally = &mut state.tallies[usize::from(what.is_some())];
        tally.reads += 1;
        tally.old += usize::from(missed.is_some());
        tally.worst = tally.worst.max(age);
    }

    pub(super) fn note_status(&self, status: &str) {
        let status = status.split("ttl=").next().unwrap_or_default();
        let mut state = self.state();
        *state.statuses.entry(status.to_owned()).or_default() += 1;
    }

    /// Records that a request was not answered as it should be.
    pub(super) fn fail(&self, what: &str) {
        let now = self.clock.tick();
        let mut state = self.state();
        let last = state.disturbed.last();
        let during =
            last.map(|(from, _, cause)| format!("{:?} after {cause} began", now.since(*from)));
        let during = during.unwrap_or_else(|| "before any disturbance".to_owned());
        state.failures.push(format!("{during}: {what}"));
    }

    /// Prints the reads, and fails if something was too old or missing.
    pub(super) fn report(&self) {
        let state = self.state();
        for (when, tally) in ["while the server worked", "while it did not"]
            .iter()
            .zip(state.tallies)
        {
            println!(
                "{when}: {} fields read, {} of them older than something acknowledged, by {:?} at most",
                tally.reads, tally.old, tally.worst
            );
        }
        let stalls = state
            .disturbed
            .iter()
            .filter(|(.., what)| what.contains("stall"));
        println!("stalls of the machine: {}", stalls.count());
        let cut = state.disturbed.iter();
        let cut = cut.filter(|(.., what)| what.contains("by load"));
        println!("times that a replica was cut off by load: {}", cut.count());
        for (status, count) in &state.statuses {
            println!("{count:>8}  {status}");
        }
        println!("older than the bound: {}", state.violations.len());
        println!("failed requests: {}", state.failures.len());
        let few = |all: &[String]| all.iter().take(10).cloned().collect::<Vec<_>>();
        println!("{:#?}", few(&state.failures));
        assert!(state.violations.is_empty(), "{:#?}", few(&state.violations));
        assert!(state.failures.is_empty(), "{:#?}", few(&state.failures));
    }
}
