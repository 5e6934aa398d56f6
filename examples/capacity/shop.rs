//! The shop: simulated visitors and changes, against the real service, on a clock that jumps from event to event.

use std::{collections::HashSet, future::poll_fn, task::Poll, time::Duration};

use engage_bff::{
    app::policy,
    clock::{Clock, ManualClock, Tick},
    customer::{self, CustomerQuery, CustomerService},
    domain::{Digester, Flow, Part, PartSet},
};
use fastrand::Rng;
use jiff::Timestamp;

use crate::{
    engage::{CallLog, Calls, LONGEST_TURN, id},
    floor::Floor,
    mix::Purpose,
    model::{
        BOUGHT, CALLS_AFTER, CHECKOUT, DESK_CALLS, MY_PAGES, NEWSLETTER, PROMOTED_EVERY,
        REPORTED_AFTER, REWARDED, THINKING, TILL_VISITS, UPDATED_EVERY, VIEWS,
    },
    replica::{Budget, Replica, digester},
    schedule::{Event, Schedule, Session},
    settings::{Setting, Spread},
    tally::{Stretch, Tally},
    tier,
    visitors::Visitors,
};

/// The parts that a checkout requests fresh: everything that can be spent.
const SPENDABLE: PartSet = PartSet::of(&[Part::Promotions, Part::Vouchers, Part::Points]);
/// The step of the clock while calls wait for the budget: the time between two calls of one key.
const STEP: Duration = Duration::from_millis(20);
/// The longest step of the clock with a shared tier, which looks for others' calls and reports to its server at intervals.
const TIER_STEP: Duration = Duration::from_millis(50);

/// A running shop.
pub(crate) struct Shop<'a> {
    setting: &'a Setting,
    visitors: &'a Visitors,
    replicas: Vec<Replica>,
    call_log: CallLog,
    clock: ManualClock,
    time: Clock,
    digester: Digester,
    tally: Tally,
    floor: Floor,
    rng: Rng,
    /// Sessions per second.
    rate: f64,
    schedule: Schedule,
    /// When the shop opened.
    opened: Tick,
    /// The time since the shop opened.
    now: Duration,
    /// The contacts in a session; each is in one at most.
    in_session: HashSet<u32>,
    /// The sessions started and the requests sent since the shop opened.
    started: usize,
    sent: usize,
    /// The changes that a webhook reported.
    reported: usize,
}

impl<'a> Shop<'a> {
    /// A shop that opens with `rate` sessions per second.
    pub(crate) async fn new(
        setting: &'a Setting,
        visitors: &'a Visitors,
        budget: Budget,
        rate: f64,
        seed: u64,
    ) -> Self {
        // The service draws the jitter of lifetimes from this generator.
        fastrand::seed(seed);
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let clock = ManualClock::new(noon);
        let time = Clock::from(clock.clone());
        let opened = time.tick();
        let server = setting.has_tier.then(|| tier::server(&time));
        let call_log = CallLog::default();
        let replicas: Vec<Replica> = (0..setting.config.engage.replicas)
            .map(|_| Replica::new(setting, budget, server.as_ref(), &call_log, &time))
            .collect();
        for replica in &replicas {
            replica.customers.switch_cache(setting.caches);
            replica.connect().await;
        }
        let mut shop = Self {
            setting,
            visitors,
            replicas,
            call_log,
            clock,
            time,
            digester: digester(),
            tally: Tally::default(),
            floor: Floor::new(&policy(&setting.config)),
            rng: Rng::with_seed(seed),
            rate,
            schedule: Schedule::default(),
            opened,
            now: Duration::ZERO,
            in_session: HashSet::new(),
            started: 0,
            sent: 0,
            reported: 0,
        };
        for event in [Event::Opens, Event::Pays] {
            shop.schedule_in(Duration::ZERO, event);
        }
        if setting.has_webhooks {
            shop.schedule_in(Duration::ZERO, Event::Updated);
            shop.schedule_in(Duration::ZERO, Event::Promoted);
        }
        shop
    }

    /// Sets the number of sessions that start per second.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// Lets time pass.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.move_on(until).await;
        }
    }

    /// Lets time pass until that many sessions have started; returns what happened during that time.
    pub(crate) async fn watch(&mut self, sessions: u64) -> Stretch {
        let (start, calls) = (self.now, self.call_log.calls());
        let floor = self.floor.calls();
        self.tally.take();
        while self.tally.sessions() < sessions {
            self.move_on(Duration::MAX).await;
        }
        let after: Calls = self.call_log.calls();
        let least = self.floor.calls();
        assert!(!self.replicas.iter().any(Replica::is_cut_off));
        Stretch {
            time: self.now.saturating_sub(start),
            calls: std::array::from_fn(|group| after[group] - calls[group]),
            floor: std::array::from_fn(|group| least[group] - floor[group]),
            ..self.tally.take()
        }
    }

    /// The cached bytes of the fullest replica.
    pub(crate) fn cached_bytes(&self) -> u64 {
        let counts = self
            .replicas
            .iter()
            .map(|replica| replica.customers.counts());
        counts.map(|counts| counts.record_bytes).max().unwrap_or(0)
    }

    /// Moves the clock to the next moment at which something may happen, and runs the events that are due.
    async fn move_on(&mut self, until: Duration) {
        let now = self.opened + self.now;
        let since_opening = |tick: Tick| tick.since(self.opened);
        let alarm = self.call_log.next_alarm(now).map(since_opening);
        let turn = self.calls_wait().then(|| self.now + STEP);
        let beat = self.setting.has_tier.then(|| self.now + TIER_STEP);
        let next = [self.schedule.next(), alarm, turn, beat]
            .into_iter()
            .flatten()
            .min();
        let next = next.unwrap_or(until).min(until);
        if next > self.now {
            self.clock.advance(next.saturating_sub(self.now));
            self.now = next;
            settle().await;
        }
        while let Some(event) = self.schedule.take_due(self.now) {
            self.run(event).await;
        }
    }

    /// Whether a call waits for the budget.
    fn calls_wait(&self) -> bool {
        let waits = |replica: &Replica| replica.admission.snapshot().queued > 0;
        self.replicas.iter().any(waits)
    }

    async fn run(&mut self, event: Event) {
        match event {
            Event::Opens => {
                let pause = self.within(1.0 / self.rate);
                self.schedule_in(pause, Event::Opens);
                let contact = self.newcomer();
                self.in_session.insert(contact);
                self.tally.session();
                self.started += 1;
                let number = self.started;
                let has_links = self.setting.mix.has_links_and_desk();
                let is_logged_in = has_links && self.rng.f64() >= NEWSLETTER;
                self.view(Session {
                    contact,
                    number,
                    is_logged_in,
                })
                .await;
            }
            Event::Views(session) => self.view(session).await,
            Event::Pays => {
                let pause = self.within(1.0 / (self.rate * TILL_VISITS));
                self.schedule_in(pause, Event::Pays);
                let contact = self.newcomer();
                let points = Part::Points.into();
                let request = (Purpose::Till, contact, PartSet::ALL, points);
                self.look_up("till", request, contact as usize).await;
                self.schedule_in(REPORTED_AFTER, Event::Bought(contact));
            }
            Event::Calls(contact) => {
                let request = (Purpose::Desk, contact, PartSet::ALL, PartSet::EMPTY);
                self.look_up("desk", request, contact as usize).await;
            }
            Event::Bought(contact) => {
                let mut parts = PartSet::of(&[Part::Profile, Part::Points]);
                if self.rng.f64() < REWARDED {
                    parts.insert(Part::Vouchers);
                }
                self.change(contact, parts).await;
            }
            Event::Updated => {
                let pause = self.within(self.each(UPDATED_EVERY));
                self.schedule_in(pause, Event::Updated);
                let contact = self.visitors.any_contact(&mut self.rng);
                self.change(contact, Part::Profile.into()).await;
            }
            Event::Promoted => {
                let pause = self.within(self.each(PROMOTED_EVERY));
                self.schedule_in(pause, Event::Promoted);
                let contact = self.visitors.any_contact(&mut self.rng);
                self.change(contact, Part::Promotions.into()).await;
            }
        }
    }

    /// A page view; schedules the next one, unless the session ends, perhaps with a checkout.
    async fn view(&mut self, mut session: Session) {
        let Session {
            contact, number, ..
        } = session;
        let is_last = self.rng.f64() < 1.0 / VIEWS;
        let checks_out = is_last && self.rng.f64() < CHECKOUT;
        let (requested, fresh) = if checks_out {
            (SPENDABLE, SPENDABLE)
        } else if self.rng.f64() < MY_PAGES {
            session.is_logged_in = true;
            (PartSet::ALL, PartSet::EMPTY)
        } else {
            (self.setting.panels, PartSet::EMPTY)
        };
        let purpose = match session.is_logged_in {
            _ if checks_out => Purpose::Checkout,
            true => Purpose::LoggedIn,
            false => Purpose::FromLink,
        };
        self.look_up("webshop", (purpose, contact, requested, fresh), number)
            .await;
        if !is_last {
            let pause = self.within(THINKING.as_secs_f64());
            self.schedule_in(pause, Event::Views(session));
            return;
        }
        self.in_session.remove(&contact);
        if self.setting.mix.has_links_and_desk() && self.rng.f64() < DESK_CALLS {
            let pause = self.within(CALLS_AFTER.as_secs_f64());
            self.schedule_in(pause, Event::Calls(contact));
        }
        if checks_out && self.rng.f64() < BOUGHT {
            self.schedule_in(REPORTED_AFTER, Event::Bought(contact));
        }
    }

    /// Sends a query. A hit is answered at once; otherwise the response is awaited in the background.
    async fn look_up(
        &mut self,
        client: &str,
        (purpose, contact, requested, fresh): (Purpose, u32, PartSet, PartSet),
        session: usize,
    ) {
        self.sent += 1;
        let turn = match self.setting.spread {
            Spread::Sticky => session,
            Spread::Requests => self.sent,
        };
        let replica = &self.replicas[turn % self.replicas.len()];
        let requested = requested.union(PartSet::ALWAYS);
        self.floor.ask(contact, requested, fresh, self.now);
        let lookup = self.setting.mix.lookup(purpose, contact, &self.digester);
        let now = self.time.now();
        let deadline = now.tick + self.setting.config.server.request_timeout;
        let query = CustomerQuery {
            request_id: None,
            prefer: None,
            flow: Flow::from(client),
            lookup,
            requested,
            fresh,
            now,
            arrival: replica.customers.arrival(),
            max_age: None,
            only_if_cached: false,
            stale_if_error: true,
            deadline,
            is_hasty: false,
            purpose: customer::Purpose::Person,
            trace: None,
        };
        let answering = answer(
            replica.customers.clone(),
            query,
            self.time.clone(),
            self.tally.clone(),
        );
        let mut answering = Box::pin(answering);
        let first = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
        if first.is_pending() {
            self.call_log.wake_at(deadline);
            self.call_log.wake_at(now.tick + LONGEST_TURN);
            tokio::spawn(answering);
        }
        settle().await;
    }

    /// Invalidates parts as webhooks would: in every replica, or in one of those that share a tier.
    async fn change(&mut self, contact: u32, parts: PartSet) {
        if !self.setting.has_webhooks {
            return;
        }
        self.reported += 1;
        self.floor.change(contact, parts, self.now);
        let one = self.reported % self.replicas.len();
        for (number, replica) in self.replicas.iter().enumerate() {
            if self.setting.has_tier && number != one {
                continue;
            }
            replica
                .customers
                .invalidate(id(contact), parts)
                .await
                .expect("the tier's server never fails");
        }
        settle().await;
    }

    /// A contact that is not in a session.
    fn newcomer(&mut self) -> u32 {
        loop {
            let contact = self.visitors.visitor(&mut self.rng);
            if !self.in_session.contains(&contact) {
                return contact;
            }
        }
    }

    /// The mean time in seconds between two changes of any contacts, if each changes once in `every`.
    fn each(&self, every: Duration) -> f64 {
        every.as_secs_f64() / f64::from(self.visitors.count())
    }

    /// A random time, exponentially distributed with that mean in seconds.
    fn within(&mut self, mean: f64) -> Duration {
        Duration::from_secs_f64(-mean * (1.0 - self.rng.f64()).ln())
    }

    fn schedule_in(&mut self, after: Duration, event: Event) {
        self.schedule.add(self.now + after, event);
    }
}

async fn answer(customers: CustomerService, query: CustomerQuery, time: Clock, tally: Tally) {
    let outcome = customers.find(&query).await;
    tally.ended(&outcome, time.now().tick.since(query.now.tick));
}

/// Waits until no task can run. The runtime resumes a yielding task after all others are idle; the second yield is for tasks
/// that the last one woke.
async fn settle() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}
