//! Runs a sequence of events against the real service, and checks every promise after each.

mod calls;
mod checks;
mod invalidations;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    clock::{Clock, ManualClock, Tick},
    customer::{CustomerQuery, CustomerService, Error, Found, Purpose},
    domain::{ChangeKind, Digester, Part, PartSet},
};
use tokio::task::AbortHandle;

use crate::{
    exchange::{Wire, lock},
    model::{
        Caller, CheckResult, Model, PATIENCE, PAUSE, REOPENING, STALE_IF_ERROR,
        STALE_WHILE_REVALIDATE, demand, lifetime,
    },
    ops::{Case, Op, Request, Step, Stretch},
    responses::Responder,
    setup::{self, Setup},
    world::{Kind, World},
};

/// A step of time that divides the interval between two calls of a small budget.
const SMALL_STEP: Duration = Duration::from_millis(50);
/// This many small steps are longer than a call waits for the previous call and for the budget.
const SMALL_STEPS: u32 = 100;

/// A request's outcome, with the bytes, rendered twice.
type Outcome = Result<(Arc<Found>, [Bytes; 2]), Error>;

/// A running case.
pub(crate) struct Machine {
    case: Case,
    customers: CustomerService,
    wire: Arc<Mutex<Wire>>,
    clock: ManualClock,
    time: Clock,
    world: World,
    model: Model,
    responder: Responder,
    digester: Digester,
    waiting: BTreeMap<usize, (Caller, AbortHandle)>,
    arrived: usize,
    done: Arc<Mutex<Vec<(usize, Outcome)>>>,
    /// Earlier responses: a slow request may render them again.
    answers: Vec<(Arc<Found>, PartSet)>,
    /// Why requests were refused, by their numbers.
    refusals: BTreeMap<usize, Error>,
    /// The last outcome.
    last: Option<(usize, Outcome)>,
    /// Whether all tasks are idle.
    is_idle: bool,
    /// The number of calls that have been checked.
    checked_calls: usize,
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
            responder: Responder {
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
            answers: Vec::new(),
            refusals: BTreeMap::new(),
            last: None,
            is_idle: true,
            checked_calls: 0,
        }
    }

    /// Runs the events, lets time pass until every request is answered, and checks the state at the end by probing it.
    pub(crate) async fn play(&mut self, steps: &[Step]) -> CheckResult {
        self.play_events(steps).await?;
        self.pass(PATIENCE).await?;
        demand!(
            self.waiting.is_empty(),
            "P10",
            "{} requests hang",
            self.waiting.len()
        );
        self.probe().await
    }

    /// Runs the events, and lets no more time pass than they say.
    pub(crate) async fn play_events(&mut self, steps: &[Step]) -> CheckResult {
        for Step { op, polls } in steps {
            self.run(op, *polls).await?;
        }
        Ok(())
    }

    /// Why the request that arrived last was refused; `None` if it still waits or got data.
    pub(crate) fn last_refusal(&self) -> Option<&Error> {
        self.refusals.get(&self.arrived.checked_sub(1)?)
    }

    /// The number of calls so far.
    pub(crate) fn calls(&self) -> usize {
        lock(&self.wire).calls.len()
    }

    async fn run(&mut self, op: &Op, polls: usize) -> CheckResult {
        if let Op::Advance(stretch) = op {
            return self.pass(self.length(*stretch)).await;
        }
        let start = lock(&self.wire).calls.len();
        let was_idle = self.is_idle;
        let change = self.world.change();
        self.apply(op).await;
        if self.world.change() > change {
            self.model.last_change = lock(&self.wire).mark(self.now());
        }
        self.settle(polls).await?;
        if let Op::Request(request) = op
            && request.only_if_cached
            && was_idle
        {
            let calls = lock(&self.wire).calls.len() - start;
            demand!(
                calls == 0,
                "P5",
                "{calls} calls for a request that accepts a cached answer only"
            );
        }
        Ok(())
    }

    /// Advances the clock after all tasks are idle. If calls may have to wait for the budget, the first steps are
    /// small: a call that woke late would be counted at the wrong time.
    async fn pass(&mut self, stretch: Duration) -> CheckResult {
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
            Op::Request(request) => self.request(request),
            Op::Cancel(caller) => {
                if let Some(caller) = nth(self.waiting.keys(), *caller).copied() {
                    let (_, task) = self.waiting.remove(&caller).expect("it waits");
                    task.abort();
                }
            }
            Op::RenderAgain(number) => {
                if let Some((found, asked)) = nth(self.answers.iter(), *number) {
                    let _ = self.customers.render(found, &setup::shape(*asked));
                }
            }
            Op::Edit(contact, part) => self.world.edit(now, *contact, *part),
            Op::MoveEmail { email, to, swap } => self.world.move_email(now, *email, *to, *swap),
            Op::MoveKey { key, to, swap } => self.world.move_key(now, *key, *to, *swap),
            Op::ShareEmail { email, with } => self.world.share_email(now, *email, *with),
            Op::ShareKey { key, with } => self.world.share_key(now, *key, *with),
            Op::Protect(contact) => self.world.protect(now, *contact),
            Op::Retype(contact) => self.world.retype(now, *contact),
            Op::Delete(contact) => self.world.set_alive(now, *contact, false),
            Op::Recreate(contact) => self.world.set_alive(now, *contact, true),
            Op::Invalidate(contact, parts) => self.invalidate(*contact, *parts).await,
            Op::Changed(lookup, parts) => self.changed(*lookup, *parts).await,
            Op::Updated(contact) => {
                self.webhook(*contact, ChangeKind::Changed(Part::Profile.into()))
                    .await;
            }
            Op::Deleted(contact) => {
                self.world.set_alive(now, *contact, false);
                self.webhook(*contact, ChangeKind::Deleted).await;
            }
            Op::Purge(contact) => self.purge(*contact).await,
            Op::PurgeBy(lookup) => self.purge_by(*lookup).await,
            Op::PurgeEverything => self.purge_everything().await,
            Op::Switch(on) => self.switch(*on),
            Op::DropNegatives => self.drop_negatives().await,
            Op::Read(call, quarters) => {
                if let Some(call) = self.nth_pending(*call) {
                    self.read(call, *quarters);
                }
            }
            Op::Deliver(call) => {
                if let Some(call) = self.nth_pending(*call) {
                    self.answer(call);
                }
            }
            Op::Fail(call, fault) => {
                if let Some(call) = self.nth_pending(*call) {
                    self.fail(call, *fault);
                }
            }
            Op::AnswerAll => self.answer_all(),
            Op::Evict => self.customers.maintain(),
        }
    }

    fn request(&mut self, request: &Request) {
        let now = self.now();
        let arrival = lock(&self.wire).mark(now);
        self.model.last_arrival = arrival;
        if !request.fresh.is_empty() {
            self.model.last_fresh = arrival;
        }
        let query = CustomerQuery {
            request_id: None,
            flow: "shop".into(),
            lookup: request.lookup.build(
                request.shouted && request.lookup.kind.is_some(),
                &self.digester,
            ),
            prefer: request.prefer.map(Kind::contact_type),
            requested: request.asked,
            fresh: request.fresh,
            now: self.time.now(),
            arrival: self.customers.arrival(),
            max_age: request.max_age.map(Duration::from_secs),
            only_if_cached: request.only_if_cached,
            stale_if_error: request.stale_if_error,
            deadline: now + PATIENCE,
            is_hasty: false,
            purpose: purpose(self.arrived),
            trace: None,
        };
        let caller = Caller {
            lookup: request.lookup,
            prefer: request.prefer,
            query: query.clone(),
            arrival,
            change: self.world.change(),
            finds_it_off: self.model.is_off(),
        };
        let (customers, done) = (self.customers.clone(), Arc::clone(&self.done));
        let number = self.arrived;
        self.arrived += 1;
        let task = tokio::spawn(async move {
            let outcome = customers.find(&query).await.map(|found| {
                let shape = setup::shape(query.requested);
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
            done.push((number, outcome));
        });
        self.waiting.insert(number, (caller, task.abort_handle()));
    }

    /// Whether calls may have to wait for the budget: it is small, or Engage recently answered 429.
    fn is_scarce(&self, wire: &Wire) -> bool {
        let now = self.now();
        let limited = wire.last_limit;
        self.case.small_budget || limited.is_some_and(|at| now.since(at) < PAUSE + REOPENING)
    }

    fn length(&self, stretch: Stretch) -> Duration {
        let lag = Duration::from_secs(self.case.overview_lag);
        match stretch {
            Stretch::Moment if self.case.small_budget => SMALL_STEP,
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

/// The purpose of the request with this number: of ten requests, one is a batch's and one a prefetch.
fn purpose(number: usize) -> Purpose {
    match number % 10 {
        7 => Purpose::Batch,
        9 => Purpose::Prefetch,
        _ => Purpose::Person,
    }
}

/// The item with this number, modulo the number of items.
fn nth<T>(all: impl Iterator<Item = T>, number: usize) -> Option<T> {
    let mut all: Vec<T> = all.collect();
    if all.is_empty() {
        return None;
    }
    let number = number % all.len();
    Some(all.swap_remove(number))
}
