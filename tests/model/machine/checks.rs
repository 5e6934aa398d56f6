//! What is checked whenever tasks had their turn, and once nothing moves any more.

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

use super::{Got, Machine, SMALL_STEP};
use crate::{
    exchange::{Call, State, Target, lock},
    model::{
        Caller, MAX_BACK_OFF, NEGATIVE_LIFETIME, PATIENCE, STALE_IF_ERROR, Verdict, demand,
        lifetime,
    },
    ops::Ask,
    refusal::{Circumstances, check_refusal},
    setup::{FRUGAL, lag},
    sight::{check_rendered, see},
    world::{Alias, Kind, PEOPLE, Who},
};

/// More turns than all tasks of a case need together.
const MANY_TURNS: usize = 20_000;
/// How long a call may wait for its turn within the budget.
const LONGEST_TURN: Duration = Duration::from_secs(2);

impl Machine {
    /// Lets so many tasks have their turn, or, for 0, all until nothing moves; then checks everything.
    pub(super) async fn settle(&mut self, polls: usize) -> Verdict {
        self.at_rest = polls == 0;
        if self.at_rest {
            come_to_rest().await?;
        }
        for _ in 0..polls {
            yield_now().await;
        }
        self.check_calls()?;
        self.check_answers()?;
        if self.at_rest {
            self.check_rest()?;
            self.model.take_in(
                &self.world,
                &lock(&self.wire),
                self.case.page >= crate::paper::VOUCHERS,
            );
        }
        Ok(())
    }

    /// P5, P6 and P7, by the calls that are under way.
    fn check_calls(&mut self) -> Verdict {
        let now = self.now();
        let wire = lock(&self.wire);
        let new = &wire.calls[self.looked_at..];
        self.model.check_repeats(&wire, new)?;
        self.model.check_back_off(&wire, new)?;
        self.looked_at = wire.calls.len();
        for call in &wire.calls {
            demand!(
                call.state != State::Dropped,
                "P6",
                "the call of {:?} that began at {:?} was given up",
                call.target,
                call.start
            );
        }
        // A call may have waited for its turn: its patience began to run before it did.
        let patience = if self.is_scarce(&wire) {
            PATIENCE.saturating_sub(LONGEST_TURN)
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
                "{all} calls of {:?} are under way, {young} of them young",
                call.target
            );
        }
        if self.case.frugal {
            let (rate, burst, slots) = FRUGAL;
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

    fn check_answers(&mut self) -> Verdict {
        let done = std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner));
        for (number, got) in done {
            if let Some((caller, _)) = self.waiting.remove(&number) {
                self.check_answer(&caller, &got)?;
                match &got {
                    Ok((found, _)) => {
                        let profile = &see(found)?[0];
                        let version = profile.versions[0];
                        self.model.answered(&caller, profile.contact, version);
                        self.given.push((Arc::clone(found), caller.query.asked));
                    }
                    Err(_) => self.model.refused(caller.who),
                }
                self.last = Some((number, got));
            }
        }
        Ok(())
    }

    fn check_answer(&self, caller: &Caller, got: &Got) -> Verdict {
        let wire = lock(&self.wire);
        let now = self.now();
        match got {
            Ok((found, bodies)) => {
                self.model.check(&self.world, &wire, caller, found, now)?;
                let seen = see(found)?;
                for body in bodies {
                    check_rendered(found, &seen, body)?;
                }
                Ok(())
            }
            Err(error) => {
                let circumstances = Circumstances {
                    frugal: self.is_scarce(&wire),
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

    /// P10: nobody waits for nothing, or beyond its time.
    fn check_rest(&self) -> Verdict {
        let now = self.now();
        let (under_way, is_scarce) = {
            let wire = lock(&self.wire);
            (wire.pending().count(), self.is_scarce(&wire))
        };
        for (caller, _) in self.waiting.values() {
            demand!(
                now < caller.query.deadline,
                "P10",
                "who asked for {:?} waits beyond its time",
                caller.who
            );
            demand!(
                under_way > 0 || is_scarce,
                "P10",
                "who asked for {:?} waits for nothing",
                caller.who
            );
            if !is_scarce {
                self.check_hold_ups(caller)?;
            }
        }
        Ok(())
    }

    /// P5: a call that is older than anybody's patience holds up nobody who needs a later one.
    fn check_hold_ups(&self, caller: &Caller) -> Verdict {
        let Who {
            name: Alias::Id(contact),
            kind: None,
        } = caller.who
        else {
            return Ok(());
        };
        let now = self.now();
        let wire = lock(&self.wire);
        let pending: Vec<&Call> = wire.pending().map(|number| &wire.calls[number]).collect();
        let is_entity = |call: &&Call| matches!(call.target, Target::Entity(..));
        // Whether there is such a contact is asked first.
        if !pending.iter().all(is_entity) || wire.last_fault.is_some() {
            return Ok(());
        }
        for part in caller.query.fresh.iter() {
            let target = Target::Entity(contact, part);
            let later = |call: &Call| call.target == target && call.flight > caller.arrival;
            let alike = || pending.iter().filter(|call| call.target == target);
            let all_old = alike().all(|call| now.since(call.flight.tick) >= PATIENCE);
            let held_up = alike().count() > 0 && all_old && alike().count() <= 2;
            demand!(
                !held_up || wire.calls.iter().any(later),
                "P5",
                "who asked for {:?} is held up by an old call of {target:?}",
                caller.who
            );
        }
        Ok(())
    }

    /// When all is over and everything has expired, each question is answered as the world is.
    pub(super) async fn probe(&mut self) -> Verdict {
        self.answer_until_quiet().await?;
        let windows = lifetime(Part::Audiences) + STALE_IF_ERROR;
        let longest = (windows + NEGATIVE_LIFETIME).max(MAX_BACK_OFF);
        self.pass(longest + lag(&self.case)).await?;
        self.answer_until_quiet().await?;
        let ids = (0..PEOPLE).map(|contact| Who {
            name: Alias::Id(contact),
            kind: None,
        });
        let named = [Alias::Email(0), Alias::AnyKey(0)].map(|name| Who {
            name,
            kind: Some(Kind::Member),
        });
        for who in ids.chain(named) {
            self.probe_one(who).await?;
        }
        Ok(())
    }

    async fn probe_one(&mut self, who: Who) -> Verdict {
        let number = self.arrived;
        self.pass(PATIENCE).await?;
        self.apply_probe(who);
        self.settle(0).await?;
        self.answer_until_quiet().await?;
        let last = self.last.take().filter(|(last, _)| *last == number);
        let Some((_, got)) = last else {
            demand!(
                false,
                "P10",
                "nobody answers who asks for {who:?} in the end"
            );
            return Ok(());
        };
        let bearers = self.world.now().bearers(who);
        let expected = match bearers[..] {
            [_] => None,
            [] => Some(Error::Upstream(engage::Error::NotFound)),
            _ => Some(Error::Upstream(engage::Error::MultipleMatches)),
        };
        demand!(
            got.as_ref().err() == expected.as_ref(),
            "P10",
            "in the end {who:?} is answered with {:?}",
            got.as_ref().map(|(found, _)| found.shown)
        );
        let Ok((found, _)) = got else { return Ok(()) };
        demand!(
            found.shown == PartSet::ALL,
            "P10",
            "in the end only {:?} is there",
            found.shown
        );
        for seen in see(&found)? {
            let version = self.world.now().people[bearers[0]].versions[seen.part as usize];
            demand!(
                seen.contact == bearers[0] && seen.versions.iter().all(|seen| *seen == version),
                "P2",
                "in the end {who:?} is answered with {seen:?}, and it is version {version}"
            );
        }
        Ok(())
    }

    fn apply_probe(&mut self, who: Who) {
        self.ask(&Ask {
            who,
            shouted: false,
            asked: PartSet::ALL,
            fresh: PartSet::EMPTY,
            max_age: None,
            only_if_cached: false,
            stale_if_error: true,
        });
    }

    async fn answer_until_quiet(&mut self) -> Verdict {
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
        demand!(false, "P10", "there is no end of calls");
        Ok(())
    }
}

/// Waits until no task has anything to do. A sentinel always queues up behind all others; where it has
/// two turns in a row, there are none.
async fn come_to_rest() -> Verdict {
    let (turns, over) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    tokio::spawn({
        let (turns, over) = (Arc::clone(&turns), Arc::clone(&over));
        async move {
            while !over.load(Ordering::Relaxed) {
                turns.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        }
    });
    let mut alone = 0;
    for _ in 0..MANY_TURNS {
        let before = turns.load(Ordering::Relaxed);
        yield_now().await;
        let had_its_turn = turns.load(Ordering::Relaxed) > before;
        alone = if had_its_turn { alone + 1 } else { 0 };
        if alone == 2 {
            break;
        }
    }
    over.store(true, Ordering::Relaxed);
    yield_now().await;
    demand!(alone == 2, "P10", "the service never comes to rest");
    Ok(())
}
