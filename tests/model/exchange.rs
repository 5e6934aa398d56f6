//! Engage under the hand of the machine: every call waits until it is told what to answer and when.
//! Like the transport in service it ends a call after `engage.timeout`, and it notices a call that is
//! dropped before.

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
    paper::Content,
    world::{Change, Who, contact},
};

/// A moment, and its place in the order of everything that happened in a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    pub(crate) place: u64,
    pub(crate) tick: Tick,
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Overview(Who),
    Resolution(Who),
    Entity(usize, Part),
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Pending,
    Answered,
    TimedOut,
    /// Given up by the service: that harms whoever waits for it.
    Dropped,
}

/// One upstream call.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) target: Target,
    /// Which item a page begins with.
    pub(crate) offset: usize,
    /// When it began.
    pub(crate) start: Mark,
    /// When the first of its pages began.
    pub(crate) flight: Mark,
    pub(crate) state: State,
    /// When it was answered.
    pub(crate) answered: Option<Mark>,
    /// Whether its next page was asked for.
    continued: bool,
    /// What it will answer, once that was read from the world.
    pub(crate) content: Option<Content>,
    answer: Option<oneshot::Sender<Result<Bytes, Error>>>,
}

/// Something that an answer told: this version of this contact's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telling {
    pub(crate) contact: usize,
    pub(crate) part: Part,
    pub(crate) version: Change,
    /// When the call began that told it.
    pub(crate) flight: Mark,
    /// When it was told.
    pub(crate) at: Mark,
    pub(crate) by_entity: bool,
    /// Whether Engage failed at the same time: then it need not be heeded.
    pub(crate) faulty: bool,
    /// Whether the identifiers that it shows can't be read.
    pub(crate) is_unreadable: bool,
}

/// All calls of a case, and what they told.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    places: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) told: Vec<Telling>,
    /// When the last call failed.
    pub(crate) last_fault: Option<Mark>,
    /// When Engage last said that there were too many.
    pub(crate) last_limit: Option<Tick>,
}

impl Wire {
    /// The next place in the order of everything.
    pub(crate) fn mark(&mut self, tick: Tick) -> Mark {
        self.places += 1;
        Mark {
            place: self.places,
            tick,
        }
    }

    /// The calls that are under way.
    pub(crate) fn pending(&self) -> impl Iterator<Item = usize> {
        (0..self.calls.len()).filter(|number| self.calls[*number].state == State::Pending)
    }

    /// Hands the answer over. Says whether it was one to build on.
    pub(crate) fn deliver(&mut self, number: usize, now: Tick) {
        let mark = self.mark(now);
        let call = &mut self.calls[number];
        let content = call.content.as_ref().expect("it was read");
        if content.faulty {
            self.last_fault = Some(mark);
        }
        if let Err(Error::RateLimited { .. }) = content.answer {
            self.last_limit = Some(now);
        }
        for (contact, part, version) in &content.tells {
            self.told.push(Telling {
                contact: *contact,
                part: *part,
                version: *version,
                flight: call.flight,
                at: mark,
                faulty: content.faulty,
                is_unreadable: content.is_unreadable,
                by_entity: matches!(call.target, Target::Entity(..)),
            });
        }
        call.state = State::Answered;
        call.answered = Some(mark);
        let answer = call.answer.take().expect("a call is answered once");
        // Nobody takes it where the call was dropped, which is told by its state.
        let _ = answer.send(content.answer.clone());
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
            let is_whole = |content: &Content| content.answer.is_ok();
            let page_before = call.state == State::Answered
                && call.offset < offset
                && call.content.as_ref().is_some_and(is_whole);
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
            content: None,
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
    let person = |guid: &str| contact(guid).expect("a contact of ours");
    let named = || {
        let (_, guid) = query.iter().find(|(param, _)| *param == "contactId")?;
        contact(guid)
    };
    match words[..] {
        ["contactoverview"] => Target::Overview(Who::of_query(query)),
        ["contacts", "id"] => Target::Resolution(Who::of_query(query)),
        ["contacts", guid] => Target::Entity(person(guid), Part::Profile),
        ["contacts", guid, "promotions"] => Target::Entity(person(guid), Part::Promotions),
        ["contacts", guid, "bonuschecks", "available"] => {
            Target::Entity(person(guid), Part::Vouchers)
        }
        ["reward-vouchers", "available"] => {
            Target::Entity(named().expect("a contact"), Part::Vouchers)
        }
        ["point-accounts"] => Target::Entity(named().expect("a contact"), Part::Points),
        _ => panic!("Engage has no {path}"),
    }
}

/// Carries the service's questions to the machine.
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
        let under_way = UnderWay {
            exchange: self,
            number,
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answered => answer.expect("the machine outlives its calls"),
                () = self.clock.sleep_until(now + self.timeout) => {
                    under_way.end(State::TimedOut);
                    Err(Error::Timeout)
                }
            }
        })
    }
}

struct UnderWay<'a> {
    exchange: &'a Scripted,
    number: usize,
}

impl UnderWay<'_> {
    fn end(&self, state: State) {
        let now = self.exchange.clock.now().tick;
        lock(&self.exchange.wire).end(self.number, state, now);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.end(State::Dropped);
    }
}

/// The wire, for a moment.
pub(crate) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
