//! Drives the real service through a sequence of events and asks the model after each whether every
//! promise was kept.

mod rest;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    clock::{Clock, ManualClock, Tick},
    customer::{CustomerQuery, CustomerService, Error, Found},
    domain::{self, ChangeKind, Digester, Part, PartSet},
};
use tokio::task::AbortHandle;

use crate::{
    exchange::{Target, Wire, lock},
    model::{
        Caller, Model, PATIENCE, PAUSE, REOPENING, STALE_IF_ERROR, STALE_WHILE_REVALIDATE, Verdict,
        demand, lifetime,
    },
    ops::{Ask, Case, Move, Op, Stretch},
    paper::{Content, Ways},
    setup::{self, Setup},
    world::{Snapshot, World, id},
};

/// A step of time that divides the time between two calls of a small budget.
const SMALL_STEP: Duration = Duration::from_millis(50);
/// So many of them are longer than a call waits for the one before it, and for its turn.
const SMALL_STEPS: u32 = 100;

/// What a caller got, with the bytes, rendered twice.
type Got = Result<(Arc<Found>, [Bytes; 2]), Error>;

/// A case under way.
pub(crate) struct Machine {
    case: Case,
    customers: CustomerService,
    wire: Arc<Mutex<Wire>>,
    clock: ManualClock,
    time: Clock,
    world: World,
    model: Model,
    ways: Ways,
    digester: Digester,
    waiting: BTreeMap<usize, (Caller, AbortHandle)>,
    arrived: usize,
    done: Arc<Mutex<Vec<(usize, Got)>>>,
    /// Answers that were given: a slow caller may render them again.
    given: Vec<(Arc<Found>, PartSet)>,
    /// What the last caller got.
    last: Option<(usize, Got)>,
    /// Whether everything has come to rest.
    at_rest: bool,
    /// How many calls have been looked at.
    looked_at: usize,
}

impl Machine {
    pub(crate) fn new(case: &Case) -> Self {
        fastrand::seed(case.seed);
        let Setup {
            customers,
            wire,
            clock,
            digester,
        } = setup::service(case);
        let time = Clock::from(clock.clone());
        Self {
            world: World::new(time.now().tick),
            model: Model::new(case),
            ways: Ways {
                knows_custom_key: case.knows_custom_key,
                version: case.version,
                page: case.page,
            },
            case: case.clone(),
            customers,
            wire,
            clock,
            time,
            digester,
            waiting: BTreeMap::new(),
            arrived: 0,
            done: Arc::default(),
            given: Vec::new(),
            last: None,
            at_rest: true,
            looked_at: 0,
        }
    }

    /// Goes through the events, and on until everybody who still waits is answered.
    pub(crate) async fn play(&mut self, moves: &[Move]) -> Verdict {
        for Move { op, polls } in moves {
            self.happen(op, *polls).await?;
        }
        self.pass(PATIENCE).await?;
        demand!(
            self.waiting.is_empty(),
            "P10",
            "{} callers hang",
            self.waiting.len()
        );
        self.probe().await
    }

    async fn happen(&mut self, op: &Op, polls: usize) -> Verdict {
        if let Op::Advance(stretch) = op {
            return self.pass(self.length(*stretch)).await;
        }
        let start = lock(&self.wire).calls.len();
        let was_at_rest = self.at_rest;
        let change = self.world.change();
        self.apply(op).await;
        if self.world.change() > change {
            self.model.last_change = lock(&self.wire).mark(self.now());
        }
        self.settle(polls).await?;
        if let Op::Ask(ask) = op
            && ask.only_if_cached
            && was_at_rest
        {
            let calls = lock(&self.wire).calls.len() - start;
            demand!(calls == 0, "P5", "{calls} calls for what is held only");
        }
        Ok(())
    }

    /// Time passes, but not while somebody could do something. Where calls wait for their turn it goes
    /// in small steps: who wakes late is not counted where it belongs.
    async fn pass(&mut self, stretch: Duration) -> Verdict {
        let mut left = stretch;
        self.settle(0).await?;
        let is_scarce = self.is_scarce(&lock(&self.wire));
        if is_scarce {
            for _ in 0..SMALL_STEPS {
                let step = left.min(SMALL_STEP);
                left -= step;
                self.clock.advance(step);
                self.settle(0).await?;
            }
        }
        self.clock.advance(left);
        self.settle(0).await
    }

    async fn apply(&mut self, op: &Op) {
        let now = self.now();
        match op {
            Op::Nothing | Op::Advance(_) => {}
            Op::Ask(ask) => self.ask(ask),
            Op::Cancel(caller) => {
                if let Some(caller) = nth(self.waiting.keys(), *caller).copied() {
                    let (_, task) = self.waiting.remove(&caller).expect("it waits");
                    task.abort();
                }
            }
            Op::RenderAgain(number) => {
                if let Some((found, asked)) = nth(self.given.iter(), *number) {
                    let _ = self.customers.render(found, &setup::shape(*asked));
                }
            }
            Op::Edit(contact, part) => self.world.edit(now, *contact, *part),
            Op::MoveEmail { email, to, swap } => self.world.move_email(now, *email, *to, *swap),
            Op::MoveKey { key, to, swap } => self.world.move_key(now, *key, *to, *swap),
            Op::ShareEmail { email, with } => self.world.share_email(now, *email, *with),
            Op::Retype(contact) => self.world.retype(now, *contact),
            Op::Delete(contact) => self.world.set_alive(now, *contact, false),
            Op::Recreate(contact) => self.world.set_alive(now, *contact, true),
            Op::Invalidate(contact, parts) => self.invalidate(*contact, *parts).await,
            Op::Updated(contact) => {
                self.tell(*contact, ChangeKind::Changed(Part::Profile.into()))
                    .await;
            }
            Op::Deleted(contact) => {
                self.world.set_alive(now, *contact, false);
                self.tell(*contact, ChangeKind::Deleted).await;
            }
            Op::Purge(contact) => self.purge(*contact).await,
            Op::PurgeBy(who) => {
                let sequence = self.customers.arrival();
                let lookup = who.lookup(false, &self.digester);
                self.customers.purge_by(&lookup).await;
                let mark = lock(&self.wire).mark(now);
                self.model.purged_by(&self.world, *who, sequence, mark);
            }
            Op::PurgeEverything => {
                let sequence = self.customers.arrival();
                self.customers.purge_everything().await;
                let mark = lock(&self.wire).mark(now);
                self.model.everything_purged(&self.world, sequence, mark);
            }
            Op::Switch(on) => self.switch(*on).await,
            Op::EndNegatives => self.drop_negatives().await,
            Op::Read(call, quarters) => {
                let call = nth(lock(&self.wire).pending(), *call);
                if let Some(call) = call {
                    self.read(call, *quarters);
                }
            }
            Op::Deliver(call) => {
                let call = nth(lock(&self.wire).pending(), *call);
                if let Some(call) = call {
                    self.answer(call);
                }
            }
            Op::Fail(call, fault) => {
                let call = nth(lock(&self.wire).pending(), *call);
                if let Some(call) = call {
                    let (ways, fault) = (self.ways, *fault);
                    self.write(call, 0, |target, offset, world| {
                        ways.fail(fault, target, offset, world)
                    });
                    lock(&self.wire).deliver(call, now);
                }
            }
            Op::AnswerAll => self.answer_all(),
            Op::Evict => self.customers.maintain(),
        }
    }

    fn ask(&mut self, ask: &Ask) {
        let now = self.now();
        let arrival = lock(&self.wire).mark(now);
        self.model.last_arrival = arrival;
        if !ask.fresh.is_empty() {
            self.model.last_fresh = arrival;
        }
        let query = CustomerQuery {
            flow: "shop".into(),
            lookup: ask
                .who
                .lookup(ask.shouted && ask.who.kind.is_some(), &self.digester),
            asked: ask.asked,
            fresh: ask.fresh,
            now: self.time.now(),
            arrival: self.customers.arrival(),
            max_age: ask.max_age.map(Duration::from_secs),
            only_if_cached: ask.only_if_cached,
            stale_if_error: ask.stale_if_error,
            deadline: now + PATIENCE,
        };
        let caller = Caller {
            who: ask.who,
            query: query.clone(),
            arrival,
            change: self.world.change(),
            finds_it_off: self.model.is_off(),
        };
        let (customers, done) = (self.customers.clone(), Arc::clone(&self.done));
        let number = self.arrived;
        self.arrived += 1;
        let task = tokio::spawn(async move {
            let got = customers.find(&query).await.map(|found| {
                let shape = setup::shape(query.asked);
                let bytes = [(); 2].map(|()| {
                    customers
                        .render(&found, &shape)
                        .expect("nothing is damaged")
                        .body
                        .clone()
                });
                (Arc::new(found), bytes)
            });
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((number, got));
        });
        self.waiting.insert(number, (caller, task.abort_handle()));
    }

    async fn invalidate(&mut self, contact: usize, parts: PartSet) {
        let sequence = self.customers.arrival();
        self.customers.invalidate(id(contact), parts).await;
        let mark = lock(&self.wire).mark(self.now());
        self.model
            .invalidated(&self.world, contact, parts, sequence, mark);
    }

    /// A webhook.
    async fn tell(&mut self, contact: usize, kind: ChangeKind) {
        let sequence = self.customers.arrival();
        self.customers
            .apply(&domain::Change {
                kind,
                contacts: vec![id(contact)],
            })
            .await;
        let mark = lock(&self.wire).mark(self.now());
        let parts = match kind {
            ChangeKind::Created => PartSet::EMPTY,
            ChangeKind::Changed(parts) => parts,
            ChangeKind::Deleted => PartSet::ALL,
        };
        self.model
            .invalidated(&self.world, contact, parts, sequence, mark);
        self.model.negatives_ended = mark;
        self.model.last_news = mark;
    }

    async fn purge(&mut self, contact: usize) {
        let sequence = self.customers.arrival();
        self.customers.purge(id(contact)).await;
        let mark = lock(&self.wire).mark(self.now());
        self.model
            .invalidated(&self.world, contact, PartSet::ALL, sequence, mark);
    }

    async fn switch(&mut self, on: bool) {
        let sequence = self.customers.arrival();
        self.customers.switch_cache(on).await;
        let mark = lock(&self.wire).mark(self.now());
        if !on {
            self.model.everything_purged(&self.world, sequence, mark);
            self.model.negatives_ended = mark;
        }
        self.model.switched(on, mark);
    }

    async fn drop_negatives(&mut self) {
        self.customers.drop_negatives().await;
        let mark = lock(&self.wire).mark(self.now());
        self.model.negatives_ended = mark;
        self.model.last_news = mark;
    }

    fn read(&mut self, call: usize, quarters: u32) {
        let ways = self.ways;
        self.write(call, quarters, |target, offset, world| {
            ways.read(target, offset, world)
        });
    }

    fn write(
        &mut self,
        call: usize,
        quarters: u32,
        write: impl FnOnce(Target, usize, &Snapshot) -> Content,
    ) {
        let now = self.now();
        let mut wire = lock(&self.wire);
        let call = &mut wire.calls[call];
        let change = match call.target {
            Target::Overview(_) => {
                let lag = setup::lag(&self.case) * quarters / 4;
                self.world.as_of(now - lag)
            }
            Target::Resolution(_) | Target::Entity(..) => self.world.change(),
        };
        let world = self.world.at(change);
        call.content = Some(write(call.target, call.offset, world));
    }

    fn answer(&mut self, call: usize) {
        let unread = lock(&self.wire).calls[call].content.is_none();
        if unread {
            self.read(call, 4);
        }
        let now = self.now();
        lock(&self.wire).deliver(call, now);
    }

    fn answer_all(&mut self) {
        let pending: Vec<_> = lock(&self.wire).pending().collect();
        for call in pending {
            self.answer(call);
        }
    }

    /// Whether calls may have to wait for their turn: the budget is small, or Engage lately said that
    /// there were too many.
    fn is_scarce(&self, wire: &Wire) -> bool {
        let now = self.now();
        let limited = wire.last_limit;
        self.case.frugal || limited.is_some_and(|at| now.since(at) < PAUSE + REOPENING)
    }

    fn length(&self, stretch: Stretch) -> Duration {
        let lag = Duration::from_secs(self.case.overview_lag);
        match stretch {
            Stretch::Moment if self.case.frugal => SMALL_STEP,
            Stretch::Moment => Duration::from_millis(1),
            Stretch::Second => Duration::from_secs(1),
            Stretch::HalfOfPatience => PATIENCE / 2,
            Stretch::Patience => PATIENCE,
            Stretch::HalfALifetime => lifetime(Part::Profile) / 2,
            Stretch::Lifetime => lifetime(Part::Profile),
            Stretch::StaleWhileRevalidate => STALE_WHILE_REVALIDATE,
            Stretch::StaleIfError => STALE_IF_ERROR,
            Stretch::OverviewLag => lag,
            Stretch::NearlyOverviewLag => lag.saturating_sub(Duration::from_secs(1)),
        }
    }

    fn now(&self) -> Tick {
        self.time.now().tick
    }
}

/// One of those that there are, counted round and round.
fn nth<T>(all: impl Iterator<Item = T>, number: usize) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    if all.is_empty() {
        return None;
    }
    let number = number % all.len();
    Some(all.swap_remove(number))
}
