//! Engage in memory: knows everybody, answers after a constant time, and counts what it is asked. It
//! stands where the service's HTTP transport stands.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use engage_bff::{
    clock::{Clock, Tick},
    domain::ContactId,
    engage::{Error, Exchange, Group, ResponseFuture},
};

/// How long Engage takes: its own pages name no figure, and the calls that a session costs do not
/// depend on it.
const LATENCY: Duration = Duration::from_millis(100);

/// How long a call waits for its turn before it is refused: whoever begins to wait is woken then, one after
/// the other, and so in the same order every time.
pub(crate) const LONGEST_TURN: Duration = Duration::from_secs(1);

/// Whom questions about customers call.
pub(crate) const GROUPS: [Group; 5] = [
    Group::Overview,
    Group::Contacts,
    Group::Promotions,
    Group::Vouchers,
    Group::Points,
];

/// Calls by [`Group`].
pub(crate) type Calls = [u64; GROUPS.len()];

/// What is counted, and when something will happen that the clock must not be moved past.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    calls: Calls,
    alarms: BinaryHeap<Reverse<Tick>>,
    /// When the last call will be answered.
    last_due: Tick,
}

impl Desk {
    /// The calls until now.
    pub(crate) fn calls(&self) -> Calls {
        self.lock().calls
    }

    /// Asks to be woken.
    pub(crate) fn wake_at(&self, at: Tick) {
        self.lock().alarms.push(Reverse(at));
    }

    /// The next moment at which somebody wants to be woken, after this one.
    pub(crate) fn next_alarm(&self, now: Tick) -> Option<Tick> {
        let mut inner = self.lock();
        while inner.alarms.peek().is_some_and(|alarm| alarm.0 <= now) {
            inner.alarms.pop();
        }
        inner.alarms.peek().map(|alarm| alarm.0)
    }

    /// Counts a call, and says when it is answered: each at a moment of its own, because in which order
    /// tokio wakes those who wait for the same is drawn at random.
    fn asked(&self, group: Group, now: Tick) -> Tick {
        let mut inner = self.lock();
        inner.calls[group as usize] += 1;
        inner.last_due = (now + LATENCY).max(inner.last_due + Duration::from_nanos(1));
        let due = inner.last_due;
        inner.alarms.push(Reverse(due));
        // Another call may follow, and wait.
        inner.alarms.push(Reverse(due + LONGEST_TURN));
        due
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries a replica's questions to the desk.
pub(crate) struct Wire {
    desk: Desk,
    clock: Clock,
}

impl Wire {
    pub(crate) fn new(desk: Desk, clock: Clock) -> Self {
        Self { desk, clock }
    }
}

impl Exchange for Wire {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a> {
        let (group, answer) = answer(path, query);
        let due = self.desk.asked(group, self.clock.now().tick);
        Box::pin(async move {
            self.clock.sleep_until(due).await;
            answer.map(Bytes::from)
        })
    }
}

/// The e-mail address of a contact.
pub(crate) fn email(contact: u32) -> String {
    format!("kund{contact}@example.com")
}

/// The member number of a contact, which is its custom key.
pub(crate) fn member_number(contact: u32) -> String {
    format!("M{contact}")
}

/// The id of a contact.
pub(crate) fn id(contact: u32) -> ContactId {
    ContactId::parse(&guid(contact)).expect("a GUID")
}

fn guid(contact: u32) -> String {
    format!("6f1d2c3a-4b5e-4f60-8a71-{contact:012x}")
}

fn answer(path: &str, query: &[(&str, &str)]) -> (Group, Result<String, Error>) {
    let words: Vec<&str> = path.split('/').collect();
    let (group, contact) = match words[..] {
        ["contactoverview"] => (Group::Overview, named(query)),
        ["contacts", "id"] => {
            let guid = named(query).map(|contact| format!("\"{}\"", guid(contact)));
            return (Group::Contacts, guid.ok_or(Error::NotFound));
        }
        ["contacts", guid] => (Group::Contacts, of_guid(guid)),
        ["contacts", guid, "promotions"] => (Group::Promotions, of_guid(guid)),
        ["reward-vouchers", "available"] => (Group::Vouchers, named(query)),
        ["point-accounts"] => (Group::Points, named(query)),
        _ => panic!("Engage has no {path}"),
    };
    let write = |contact| match group {
        Group::Overview => overview(contact),
        Group::Contacts => format!("{{{}}}", profile(contact)),
        Group::Promotions => promotions(contact),
        Group::Vouchers => format!("{{\"totalCount\":1,\"items\":{}}}", vouchers(contact)),
        Group::Points => points(contact),
        Group::Changes => unreachable!("nobody watches the feed"),
    };
    (group, contact.map(write).ok_or(Error::NotFound))
}

/// Whom the first parameter names.
fn named(query: &[(&str, &str)]) -> Option<u32> {
    match query.first()? {
        ("email", email) => number(email.strip_prefix("kund")?.strip_suffix("@example.com")?),
        ("customKey", key) => number(key.strip_prefix('M')?),
        ("contactId", guid) => of_guid(guid),
        _ => None,
    }
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok()
}

fn of_guid(guid: &str) -> Option<u32> {
    u32::from_str_radix(guid.rsplit('-').next()?, 16).ok()
}

fn overview(contact: u32) -> String {
    format!(
        r#"{{{},"audiences":[{{"id":"gold","name":"Gold"}}],"promotions":{},"bonusChecks":{}}}"#,
        profile(contact),
        promotions(contact),
        vouchers(contact)
    )
}

fn profile(contact: u32) -> String {
    format!(
        r#""id":"{}","attributes":{{"firstName":"Kund","lastName":"Nr {contact}","email":"{}","memberNumber":"{}"}},"meta":{{"contactType":"Member"}},"preferences":{{"acceptsEmail":true}},"consents":[]"#,
        guid(contact),
        email(contact),
        member_number(contact)
    )
}

fn promotions(contact: u32) -> String {
    format!(r#"[{{"id":"p{contact}","name":"Welcome","redemptionChannels":[]}}]"#)
}

fn vouchers(contact: u32) -> String {
    format!(r#"[{{"id":"v{contact}","name":"Bonus"}}]"#)
}

fn points(contact: u32) -> String {
    format!(
        r#"[{{"contactId":"{}","definitionId":"1","balance":{}}}]"#,
        guid(contact),
        contact % 1000
    )
}
