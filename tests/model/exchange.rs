//! Engage under the machine's control: every call waits until the machine delivers a response. Like the real transport,
//! it ends a call after `engage.timeout`, and it notices if a call is dropped before that.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    clock::{Clock, Tick},
    domain::Part,
    engage::{Error, Exchange, ResponseFuture},
};
use tokio::sync::oneshot;

use crate::{
    responses::Response,
    world::{Change, TestLookup, contact},
};

/// A time, and its position in the order of a case's events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) place: u64,
    pub(crate) tick: Tick,
}

/// What a call fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Overview(TestLookup),
    Resolution(TestLookup),
    Entity(usize, Part),
}

/// The state of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Answered,
    TimedOut,
    /// The service dropped the call, which harms the requests that wait for it.
    Dropped,
}

/// One upstream call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: Target,
    /// The first item of a page.
    pub(crate) offset: usize,
    /// When it began.
    pub(crate) start: Mark,
    /// When the first of its pages began.
    pub(crate) flight: Mark,
    pub(crate) state: State,
    /// When it got its response.
    pub(crate) answered: Option<Mark>,
    /// Whether its next page was requested.
    continued: bool,
    /// Its response, once it has been read from the world.
    pub(crate) response: Option<Response>,
    answer: Option<oneshot::Sender<Result<Bytes, Error>>>,
}

/// A version of a contact's part that a response contained.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) contact: usize,
    pub(crate) part: Part,
    pub(crate) version: Change,
    /// When the call's flight began.
    pub(crate) flight: Mark,
    /// When it was delivered.
    pub(crate) at: Mark,
    pub(crate) by_entity: bool,
    /// Whether the response was faulty, so that the service need not use it.
    pub(crate) faulty: bool,
    /// Whether the response's identifiers are unreadable.
    pub(crate) is_unreadable: bool,
}

/// All calls of a case, and what their responses contained.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    places: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) deliveries: Vec<Delivery>,
    /// When the last call failed.
    pub(crate) last_fault: Option<Mark>,
    /// When Engage last answered 429.
    pub(crate) last_limit: Option<Tick>,
}

impl Wire {
    /// The next position in the order of events.
    pub(crate) fn mark(&mut self, tick: Tick) -> Mark {
        self.places += 1;
        Mark {
            place: self.places,
            tick,
        }
    }

    /// The calls in flight.
    pub(crate) fn pending(&self) -> impl Iterator<Item = usize> {
        (0..self.calls.len()).filter(|number| self.calls[*number].state == State::Pending)
    }

    /// Delivers the response.
    pub(crate) fn deliver(&mut self, number: usize, now: Tick) {
        let mark = self.mark(now);
        let call = &mut self.calls[number];
        let response = call.response.as_ref().expect("it was read");
        if response.faulty {
            self.last_fault = Some(mark);
        }
        if let Err(Error::RateLimited { .. }) = response.answer {
            self.last_limit = Some(now);
        }
        for (contact, part, version) in &response.versions {
            self.deliveries.push(Delivery {
                contact: *contact,
                part: *part,
                version: *version,
                flight: call.flight,
                at: mark,
                faulty: response.faulty,
                is_unreadable: response.is_unreadable,
                by_entity: matches!(call.target, Target::Entity(..)),
            });
        }
        call.state = State::Answered;
        call.answered = Some(mark);
        let answer = call.answer.take().expect("a call is answered once");
        // Sending fails only if the call has ended without a response; such a call is not pending, and only pending
        // calls get here.
        let _ = answer.send(response.answer.clone());
    }

    fn begin(
        &mut self,
        path: &str,
        query: &[(&str, &str)],
        now: Tick,
    ) -> (usize, oneshot::Receiver<Result<Bytes, Error>>) {
        let (answer, answered) = oneshot::channel();
        let start = self.mark(now);
        let target = target(path, query);
        let of = |name| query.iter().find(|(param, _)| *param == name);
        let offset = of("offset").map_or(0, |(_, text)| text.parse().expect("a number"));
        let before = self.calls.iter_mut().find(|call| {
            let is_whole = |response: &Response| response.answer.is_ok();
            let page_before = call.state == State::Answered
                && call.offset < offset
                && call.response.as_ref().is_some_and(is_whole);
            call.target == target && page_before && !call.continued
        });
        let flight = before.map_or(start, |before| {
            before.continued = true;
            before.flight
        });
        self.calls.push(Call {
            target,
            offset,
            start,
            flight,
            state: State::Pending,
            answered: None,
            continued: false,
            response: None,
            answer: Some(answer),
        });
        (self.calls.len() - 1, answered)
    }

    fn end(&mut self, number: usize, state: State, now: Tick) {
        let mark = self.mark(now);
        let call = &mut self.calls[number];
        if call.state == State::Pending {
            call.state = state;
            self.last_fault = Some(mark);
        }
    }
}

fn target(path: &str, query: &[(&str, &str)]) -> Target {
    let words: Vec<&str> = path.split('/').collect();
    let known = |guid: &str| contact(guid).expect("a contact of ours");
    let named = || {
        let (_, guid) = query.iter().find(|(param, _)| *param == "contactId")?;
        contact(guid)
    };
    match words[..] {
        ["contactoverview"] => Target::Overview(TestLookup::of_query(query)),
        ["contacts", "id"] => Target::Resolution(TestLookup::of_query(query)),
        ["contacts", guid] => Target::Entity(known(guid), Part::Profile),
        ["contacts", guid, "promotions"] => Target::Entity(known(guid), Part::Promotions),
        ["contacts", guid, "bonuschecks", "available"] => {
            Target::Entity(known(guid), Part::Vouchers)
        }
        ["reward-vouchers", "available"] => {
            Target::Entity(named().expect("a contact"), Part::Vouchers)
        }
        ["point-accounts"] => Target::Entity(named().expect("a contact"), Part::Points),
        _ => panic!("Engage has no {path}"),
    }
}

/// The exchange that the machine controls.
pub(crate) struct Scripted {
    wire: Arc<Mutex<Wire>>,
    clock: Clock,
    timeout: Duration,
}

impl Scripted {
    pub(crate) fn new(wire: Arc<Mutex<Wire>>, clock: Clock, timeout: Duration) -> Self {
        Self {
            wire,
            clock,
            timeout,
        }
    }
}

impl Exchange for Scripted {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a> {
        let now = self.clock.now().tick;
        let (number, answered) = lock(&self.wire).begin(path, query, now);
        let in_flight = InFlight {
            exchange: self,
            number,
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answered => answer.expect("the machine outlives its calls"),
                () = self.clock.sleep_until(now + self.timeout) => {
                    in_flight.end(State::TimedOut);
                    Err(Error::Timeout)
                }
            }
        })
    }
}

struct InFlight<'a> {
    exchange: &'a Scripted,
    number: usize,
}

impl InFlight<'_> {
    fn end(&self, state: State) {
        let now = self.exchange.clock.now().tick;
        lock(&self.exchange.wire).end(self.number, state, now);
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.end(State::Dropped);
    }
}

/// Locks the wire.
pub(crate) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
