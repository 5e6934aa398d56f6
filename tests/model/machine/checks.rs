//! The checks after each event, and those at the end.

use std::{
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use engage_bff::{
    customer::Error,
    domain::{Part, PartSet},
    engage,
};
use tokio::task::yield_now;

use super::{Machine, Outcome, SMALL_STEP};
use crate::{
    exchange::{Call, State, Target, lock},
    model::{
        Caller, CheckResult, MAX_BACK_OFF, NEGATIVE_LIFETIME, PATIENCE, STALE_IF_ERROR, demand,
        lifetime,
    },
    ops::Request,
    refusal::{Circumstances, check_refusal},
    served::{check_rendered, served_parts},
    setup::{SMALL_BUDGET, lag},
    world::{Alias, CONTACTS, Kind, TestLookup, matches},
};

/// More polls than all tasks of a case together need to become idle.
const MANY_POLLS: usize = 20_000;
/// How long a call may wait for the budget.
const LONGEST_BUDGET_WAIT: Duration = Duration::from_secs(2);

impl Machine {
    /// Polls this many tasks, or for 0 all of them until they are idle; then checks everything.
    pub(super) async fn settle(&mut self, polls: usize) -> CheckResult {
        self.is_idle = polls == 0;
        if self.is_idle {
            until_idle().await?;
        }
        for _ in 0..polls {
            yield_now().await;
        }
        self.check_calls()?;
        self.check_answers()?;
        self.check_alarms()?;
        if self.is_idle {
            self.check_idle()?;
            self.model.apply_reads(
                &self.world,
                &lock(&self.wire),
                self.case.page >= crate::responses::VOUCHERS,
            );
        }
        Ok(())
    }

    /// Checks P5, P6 and P7, and P10 for calls that failed, on the calls so far.
    fn check_calls(&mut self) -> CheckResult {
        let now = self.now();
        let wire = lock(&self.wire);
        let new = &wire.calls[self.checked_calls..];
        self.model.check_repeats(&wire, new)?;
        // A request for fresh data that arrived before the failure may still make its call after it.
        let mut waiting = self.waiting.values();
        if !waiting.any(|(caller, _)| !caller.query.fresh.is_empty()) {
            self.model.check_back_off(&wire, new)?;
        }
        self.checked_calls = wire.calls.len();
        for call in &wire.calls {
            demand!(
                call.state != State::Dropped,
                "P6",
                "the call of {:?} that began at {:?} was dropped",
                call.target,
                call.start
            );
        }
        // The service's flight may have waited for the budget first, so it may be older than its first call.
        let patience = if self.is_scarce(&wire) {
            PATIENCE.saturating_sub(LONGEST_BUDGET_WAIT)
        } else {
            PATIENCE
        };
        let pending: Vec<&Call> = wire.pending().map(|number| &wire.calls[number]).collect();
        for call in &pending {
            let alike = pending.iter().filter(|other| other.target == call.target);
            let young = alike
                .clone()
                .filter(|other| now.since(other.flight.tick) < patience)
                .count();
            let all = alike.count();
            demand!(
                young <= 1 && all <= 3,
                "P5",
                "{all} calls of {:?} are in flight, {young} of them young",
                call.target
            );
        }
        if self.case.small_budget {
            let (rate, burst, slots) = SMALL_BUDGET;
            demand!(
                pending.len() <= slots,
                "P7",
                "{} calls at once",
                pending.len()
            );
            for seconds in 1..=3u32 {
                let since = now - Duration::from_secs(seconds.into());
                let start = wire.calls.iter().rev();
                let start = start.take_while(|call| call.start.tick > since).count();
                let allowed = (rate * seconds + burst) as usize;
                demand!(
                    start <= allowed,
                    "P7",
                    "{start} calls within {seconds} s: {:?}",
                    wire.calls
                        .iter()
                        .map(|call| (call.target, call.offset, call.start.tick))
                        .collect::<Vec<_>>()
                );
            }
        }
        Ok(())
    }

    fn check_answers(&mut self) -> CheckResult {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, outcome) in done {
            if let Some((caller, _)) = self.waiting.remove(&number) {
                self.check_answer(&caller, &outcome)?;
                match &outcome {
                    Ok((found, _)) => {
                        let profile = &served_parts(found)?[0];
                        let version = profile.versions[0];
                        self.model.answered(&caller, profile.contact, version);
                        self.answers
                            .push((Arc::clone(found), caller.query.requested));
                    }
                    Err(error) => {
                        self.model.refused(&caller);
                        self.refusals.insert(number, error.clone());
                    }
                }
                self.last = Some((number, outcome));
            }
        }
        Ok(())
    }

    /// P1: an alarm about an identifier of two contacts has a reason, and if there is a reason, there is an alarm.
    fn check_alarms(&mut self) -> CheckResult {
        let (now, wire) = (self.now(), lock(&self.wire));
        let totals = self.customers.alias_conflicts();
        self.model.note_alarms(&totals, now);
        self.model.check_alarms(&self.world, &wire, now)?;
        if self.is_idle {
            self.model.check_conflicts(&self.world, &wire, now)?;
        }
        Ok(())
    }

    fn check_answer(&self, caller: &Caller, outcome: &Outcome) -> CheckResult {
        let wire = lock(&self.wire);
        let now = self.now();
        match outcome {
            Ok((found, bodies)) => {
                self.model.check(&self.world, &wire, caller, found, now)?;
                let served = served_parts(found)?;
                for body in bodies {
                    check_rendered(found, &served, body)?;
                }
                Ok(())
            }
            Err(error) => {
                let circumstances = Circumstances {
                    small_budget: self.is_scarce(&wire),
                    now,
                };
                check_refusal(
                    &self.model,
                    &self.world,
                    &wire,
                    caller,
                    error,
                    circumstances,
                )
            }
        }
    }

    /// P10: no request waits without a call, or beyond its deadline.
    fn check_idle(&self) -> CheckResult {
        let now = self.now();
        let (in_flight, is_scarce) = {
            let wire = lock(&self.wire);
            (wire.pending().count(), self.is_scarce(&wire))
        };
        for (caller, _) in self.waiting.values() {
            demand!(
                now < caller.query.deadline,
                "P10",
                "the request for {:?} waits beyond its deadline",
                caller.lookup
            );
            demand!(
                in_flight > 0 || is_scarce,
                "P10",
                "the request for {:?} waits for nothing",
                caller.lookup
            );
            if !is_scarce {
                self.check_delays(caller)?;
            }
        }
        Ok(())
    }

    /// P5: a call that is older than the longest wait of a request does not delay a later call.
    fn check_delays(&self, caller: &Caller) -> CheckResult {
        let TestLookup {
            alias: Alias::Id(contact),
            kind: None,
        } = caller.lookup
        else {
            return Ok(());
        };
        let now = self.now();
        let wire = lock(&self.wire);
        let pending: Vec<&Call> = wire.pending().map(|number| &wire.calls[number]).collect();
        let is_entity = |call: &&Call| matches!(call.target, Target::Entity(..));
        // The first call finds out whether the contact exists.
        if !pending.iter().all(is_entity) || wire.last_fault.is_some() {
            return Ok(());
        }
        for part in caller.query.fresh.iter() {
            let target = Target::Entity(contact, part);
            let later = |call: &Call| call.target == target && call.flight > caller.arrival;
            let alike = || pending.iter().filter(|call| call.target == target);
            let all_old = alike().all(|call| now.since(call.flight.tick) >= PATIENCE);
            let is_delayed = alike().count() > 0 && all_old && alike().count() <= 2;
            demand!(
                !is_delayed || wire.calls.iter().any(later),
                "P5",
                "the request for {:?} is delayed by an old call of {target:?}",
                caller.lookup
            );
        }
        Ok(())
    }

    /// At the end, when everything has expired, each request is answered with the present state of the world.
    pub(super) async fn probe(&mut self) -> CheckResult {
        self.answer_until_quiet().await?;
        let windows = lifetime(Part::Audiences) + STALE_IF_ERROR;
        let longest = (windows + NEGATIVE_LIFETIME).max(MAX_BACK_OFF);
        self.pass(longest + lag(&self.case)).await?;
        self.answer_until_quiet().await?;
        let ids = (0..CONTACTS).map(|contact| TestLookup {
            alias: Alias::Id(contact),
            kind: None,
        });
        let named = [Alias::Email(0), Alias::AnyKey(0)].map(|alias| TestLookup {
            alias,
            kind: Some(Kind::Member),
        });
        for lookup in ids.chain(named) {
            self.probe_one(lookup, None).await?;
        }
        for alias in [Alias::Email(0), Alias::AnyKey(0)] {
            let lookup = TestLookup { alias, kind: None };
            self.probe_one(lookup, Some(Kind::Member)).await?;
        }
        Ok(())
    }

    async fn probe_one(&mut self, lookup: TestLookup, prefer: Option<Kind>) -> CheckResult {
        let number = self.arrived;
        self.pass(PATIENCE).await?;
        self.apply_probe(lookup, prefer);
        self.settle(0).await?;
        self.answer_until_quiet().await?;
        let last = self.last.take().filter(|(last, _)| *last == number);
        let Some((_, outcome)) = last else {
            demand!(
                false,
                "P10",
                "in the end the request for {lookup:?} is not answered"
            );
            return Ok(());
        };
        let all = self.world.now().owners(lookup);
        let mut owners = match (&all[..], prefer) {
            ([_, _, ..], Some(_)) => self.world.now().owners(TestLookup {
                kind: prefer,
                ..lookup
            }),
            _ => all.clone(),
        };
        if prefer.is_none()
            && let Ok((found, _)) = &outcome
        {
            let answered = served_parts(found)?[0].contact;
            self.model
                .keep_what_may_be_learned(&self.world, lookup, answered, &mut owners);
        }
        let expected = match (&all[..], &owners[..]) {
            (_, [_]) => None,
            ([], _) => Some(engage::Error::NotFound),
            _ => Some(engage::Error::MultipleMatches(matches(&all))),
        };
        let expected = expected.map(Error::Upstream);
        demand!(
            outcome.as_ref().err() == expected.as_ref(),
            "P10",
            "in the end {lookup:?} is answered with {:?}",
            outcome.as_ref().map(|(found, _)| found.shown)
        );
        let Ok((found, _)) = outcome else {
            return Ok(());
        };
        demand!(
            found.shown == PartSet::ALL,
            "P10",
            "in the end only {:?} is shown",
            found.shown
        );
        for served in served_parts(&found)? {
            let version = self.world.now().contacts[owners[0]].versions[served.part];
            demand!(
                served.contact == owners[0]
                    && served.versions.iter().all(|served| *served == version),
                "P2",
                "in the end {lookup:?} is answered with {served:?} instead of version {version}"
            );
        }
        Ok(())
    }

    fn apply_probe(&mut self, lookup: TestLookup, prefer: Option<Kind>) {
        self.request(&Request {
            lookup,
            prefer,
            shouted: false,
            asked: PartSet::ALL,
            fresh: PartSet::EMPTY,
            max_age: None,
            only_if_cached: false,
            stale_if_error: true,
        });
    }

    async fn answer_until_quiet(&mut self) -> CheckResult {
        for _ in 0..100 {
            if lock(&self.wire).pending().count() == 0 && self.waiting.is_empty() {
                return Ok(());
            }
            self.answer_all();
            self.settle(0).await?;
            let is_scarce = self.is_scarce(&lock(&self.wire));
            if is_scarce {
                self.clock.advance(SMALL_STEP);
                self.settle(0).await?;
            }
        }
        demand!(false, "P10", "the calls never end");
        Ok(())
    }
}

/// Waits until no task has anything to do. A sentinel task always queues behind all others: if it is polled twice in a
/// row, there are none.
async fn until_idle() -> CheckResult {
    let (polls, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    tokio::spawn({
        let (polls, over) = (Arc::clone(&polls), Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                polls.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        }
    });
    let mut alone = 0;
    for _ in 0..MANY_POLLS {
        let before = polls.load(Ordering::Relaxed);
        yield_now().await;
        let was_polled = polls.load(Ordering::Relaxed) > before;
        alone = if was_polled { alone + 1 } else { 0 };
        if alone == 2 {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    yield_now().await;
    demand!(alone == 2, "P10", "the service is never idle");
    Ok(())
}
