//! The shop: its visitors and what happens to them, played against the real service on a clock that is
//! moved from one event to the next.

use std::{
    collections::{BTreeMap, HashSet},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use engage_bff::{
    clock::{Clock, ManualClock, Tick},
    customer::{CustomerQuery, CustomerService},
    domain::{ContactType, Digester, Flow, Identifier, IdentifierKind, Lookup, Part, PartSet},
};
use fastrand::Rng;
use jiff::{Timestamp, civil::date};

use crate::{
    engage::{Calls, Desk, LONGEST_TURN, email, id, member_number},
    model::{
        BOUGHT, CHECKOUT, MY_PAGES, PROMOTED_EVERY, REWARDED, THINKING, TILL_VISITS, TOLD_AFTER,
        UPDATED_EVERY, VIEWS,
    },
    people::People,
    replica::{Budget, RULES, Replica, digester},
    settings::{Setting, Spread},
    tally::{Stretch, Tally},
};

/// What a checkout asks for as it is now: everything that can be spent.
const SPENDABLE: PartSet = PartSet::of(&[Part::Promotions, Part::Vouchers, Part::Points]);
/// How closely time passes while calls wait for their turn: the time between two of one key's.
const STEP: Duration = Duration::from_millis(20);

/// Something that happens at its time.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Somebody opens the web shop, and after them the next will.
    Opens,
    /// A session's next page.
    Views(Session),
    /// Somebody comes to a till, and after them the next will.
    Pays,
    /// Engage tells of somebody's purchase.
    Bought(u32),
    /// Engage tells of another change to somebody.
    Updated,
    /// Engage tells of somebody's new promotion.
    Promoted,
}

#[derive(Clone, Copy, Debug)]
struct Session {
    who: u32,
    number: usize,
}

/// A shop at work.
pub(crate) struct Shop<'a> {
    setting: &'a Setting,
    people: &'a People,
    replicas: Vec<Replica>,
    desk: Desk,
    clock: ManualClock,
    time: Clock,
    digester: Digester,
    tally: Tally,
    rng: Rng,
    /// Sessions a second.
    rate: f64,
    /// What happens when; of what happens at the same time, in the order in which it was noted.
    agenda: BTreeMap<(Duration, u64), Event>,
    noted: u64,
    /// Since the shop opened.
    now: Duration,
    /// Who is in a session: nobody is in two.
    inside: HashSet<u32>,
    /// How many sessions began, and how many requests were sent, ever.
    begun: usize,
    sent: usize,
}

impl<'a> Shop<'a> {
    /// A shop that opens with so many sessions a second.
    pub(crate) async fn new(
        setting: &'a Setting,
        people: &'a People,
        budget: Budget,
        rate: f64,
        seed: u64,
    ) -> Self {
        // The service draws from this one how much shorter each lifetime is.
        fastrand::seed(seed);
        let noon: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let clock = ManualClock::new(noon);
        let time = Clock::from(clock.clone());
        let desk = Desk::default();
        let replicas: Vec<Replica> = (0..setting.config.engage.replicas)
            .map(|_| Replica::new(&setting.config, budget, &desk, &time))
            .collect();
        for replica in &replicas {
            replica.customers.switch_cache(setting.holds).await;
        }
        let mut shop = Self {
            setting,
            people,
            replicas,
            desk,
            clock,
            time,
            digester: digester(),
            tally: Tally::default(),
            rng: Rng::with_seed(seed),
            rate,
            agenda: BTreeMap::new(),
            noted: 0,
            now: Duration::ZERO,
            inside: HashSet::new(),
            begun: 0,
            sent: 0,
        };
        for event in [Event::Opens, Event::Pays] {
            shop.note(Duration::ZERO, event);
        }
        if setting.hears {
            shop.note(Duration::ZERO, Event::Updated);
            shop.note(Duration::ZERO, Event::Promoted);
        }
        shop
    }

    /// From now on so many sessions a second begin.
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

    /// Lets time pass until so many sessions have begun, and says what happened meanwhile.
    pub(crate) async fn watch(&mut self, sessions: u64) -> Stretch {
        let (begun, calls) = (self.now, self.desk.calls());
        self.tally.take();
        while self.tally.sessions() < sessions {
            self.move_on(Duration::MAX).await;
        }
        let after: Calls = self.desk.calls();
        Stretch {
            time: self.now.saturating_sub(begun),
            calls: std::array::from_fn(|group| after[group] - calls[group]),
            ..self.tally.take()
        }
    }

    /// The bytes held by the replica that holds most.
    pub(crate) fn bytes_held(&self) -> u64 {
        let counts = self
            .replicas
            .iter()
            .map(|replica| replica.customers.counts());
        counts.map(|counts| counts.record_bytes).max().unwrap_or(0)
    }

    /// Moves the clock to the next moment at which something may happen, and lets it happen.
    async fn move_on(&mut self, until: Duration) {
        let now = Tick::default() + self.now;
        let since_opening = |tick: Tick| tick.since(Tick::default());
        let event = self.agenda.keys().next().map(|(at, _)| *at);
        let alarm = self.desk.next_alarm(now).map(since_opening);
        let turn = self.calls_wait().then(|| self.now + STEP);
        let next = [event, alarm, turn].into_iter().flatten().min();
        let next = next.unwrap_or(until).min(until);
        if next > self.now {
            self.clock.advance(next.saturating_sub(self.now));
            self.now = next;
            settle().await;
        }
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.happen(event).await;
        }
    }

    /// Whether a call waits for its turn.
    fn calls_wait(&self) -> bool {
        let waits = |replica: &Replica| replica.admission.snapshot().queued > 0;
        self.replicas.iter().any(waits)
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Opens => {
                let pause = self.within(1.0 / self.rate);
                self.note(pause, Event::Opens);
                let who = self.newcomer();
                self.inside.insert(who);
                self.tally.session();
                self.begun += 1;
                let number = self.begun;
                self.view(Session { who, number }).await;
            }
            Event::Views(session) => self.view(session).await,
            Event::Pays => {
                let pause = self.within(1.0 / (self.rate * TILL_VISITS));
                self.note(pause, Event::Pays);
                let who = self.newcomer();
                let points = Part::Points.into();
                let key = (IdentifierKind::CustomKey, member_number(who));
                self.ask("till", key, PartSet::ALL, points, who as usize)
                    .await;
                self.note(TOLD_AFTER, Event::Bought(who));
            }
            Event::Bought(who) => {
                let mut parts = PartSet::of(&[Part::Profile, Part::Points]);
                if self.rng.f64() < REWARDED {
                    parts.insert(Part::Vouchers);
                }
                self.change(who, parts).await;
            }
            Event::Updated => {
                let pause = self.within(self.each(UPDATED_EVERY));
                self.note(pause, Event::Updated);
                let who = self.people.anybody(&mut self.rng);
                self.change(who, Part::Profile.into()).await;
            }
            Event::Promoted => {
                let pause = self.within(self.each(PROMOTED_EVERY));
                self.note(pause, Event::Promoted);
                let who = self.people.anybody(&mut self.rng);
                self.change(who, Part::Promotions.into()).await;
            }
        }
    }

    /// A page is looked at, and the next one, or a checkout, or nothing follows.
    async fn view(&mut self, session: Session) {
        let Session { who, number } = session;
        let is_last = self.rng.f64() < 1.0 / VIEWS;
        let checks_out = is_last && self.rng.f64() < CHECKOUT;
        let (asked, fresh) = if checks_out {
            (SPENDABLE, SPENDABLE)
        } else if self.rng.f64() < MY_PAGES {
            (PartSet::ALL, PartSet::EMPTY)
        } else {
            (self.setting.panels, PartSet::EMPTY)
        };
        let name = (IdentifierKind::Email, email(who));
        self.ask("webshop", name, asked, fresh, number).await;
        if !is_last {
            let pause = self.within(THINKING.as_secs_f64());
            self.note(pause, Event::Views(session));
            return;
        }
        self.inside.remove(&who);
        if checks_out && self.rng.f64() < BOUGHT {
            self.note(TOLD_AFTER, Event::Bought(who));
        }
    }

    /// Sends a question. What is answered from memory is answered at once; else it is waited for beside
    /// everything else.
    async fn ask(
        &mut self,
        client: &str,
        (kind, name): (IdentifierKind, String),
        asked: PartSet,
        fresh: PartSet,
        session: usize,
    ) {
        self.sent += 1;
        let turn = match self.setting.spread {
            Spread::Sticky => session,
            Spread::Requests => self.sent,
        };
        let replica = &self.replicas[turn % self.replicas.len()];
        let identifier = Identifier::parse(kind, &name, &RULES, date(2026, 11, 23));
        let lookup = Lookup::new(
            identifier.expect("a name of ours"),
            ContactType::parse("Member"),
            &self.digester,
        );
        let now = self.time.now();
        let deadline = now.tick + self.setting.config.server.request_timeout;
        let question = CustomerQuery {
            flow: Flow::from(client),
            lookup,
            asked: asked.union(PartSet::ALWAYS),
            fresh,
            now,
            arrival: replica.customers.arrival(),
            max_age: None,
            only_if_cached: false,
            stale_if_error: true,
            deadline,
        };
        let answering = answer(
            replica.customers.clone(),
            question,
            self.time.clone(),
            self.tally.clone(),
        );
        let mut answering = Box::pin(answering);
        let first = poll_fn(|context| Poll::Ready(answering.as_mut().poll(context))).await;
        if first.is_pending() {
            self.desk.wake_at(deadline);
            self.desk.wake_at(now.tick + LONGEST_TURN);
            tokio::spawn(answering);
        }
        settle().await;
    }

    /// Tells every replica of a change, as webhooks would.
    async fn change(&mut self, who: u32, parts: PartSet) {
        if !self.setting.hears {
            return;
        }
        for replica in &self.replicas {
            replica.customers.invalidate(id(who), parts).await;
        }
        settle().await;
    }

    /// Somebody who is not in a session.
    fn newcomer(&mut self) -> u32 {
        loop {
            let who = self.people.visitor(&mut self.rng);
            if !self.inside.contains(&who) {
                return who;
            }
        }
    }

    /// How many seconds pass from one contact's change to the next's.
    fn each(&self, every: Duration) -> f64 {
        every.as_secs_f64() / f64::from(self.people.count())
    }

    /// A time drawn at random, exponential with that mean in seconds.
    fn within(&mut self, mean: f64) -> Duration {
        Duration::from_secs_f64(-mean * (1.0 - self.rng.f64()).ln())
    }

    fn note(&mut self, after: Duration, event: Event) {
        self.noted += 1;
        self.agenda.insert((self.now + after, self.noted), event);
    }
}

async fn answer(customers: CustomerService, question: CustomerQuery, time: Clock, tally: Tally) {
    let outcome = customers.find(&question).await;
    tally.ended(&outcome, time.now().tick.since(question.now.tick));
}

/// Lets everything happen that can happen now. The runtime of a run looks at nothing else before all of
/// its tasks rest, so who yields comes back when they do; once more for who was woken by the last.
async fn settle() {
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
}
