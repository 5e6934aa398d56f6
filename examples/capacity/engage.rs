//! An in-memory Engage in place of the service's HTTP transport: knows every contact, responds after a constant time, and
//! counts calls.

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

/// The response time of Engage. Its documentation names none, and the calls per session do not depend on it.
const LATENCY: Duration = Duration::from_millis(100);

/// How a mobile number begins.
const PHONE_PREFIX: &str = "+4670";

/// How long a call waits for the budget before it is refused. Waiting calls are woken then, one at a time, so always in the
/// same order.
pub(crate) const LONGEST_TURN: Duration = Duration::from_secs(1);

/// The groups of endpoints that customer queries call.
pub(crate) const GROUPS: [Group; 5] = [
    Group::Overview,
    Group::Contacts,
    Group::Promotions,
    Group::Vouchers,
    Group::Points,
];

/// Calls by [`Group`].
pub(crate) type Calls = [u64; GROUPS.len()];

/// The counts of calls, and the alarms past which the clock must not be moved.
#[derive(Clone, Default)]
pub(crate) struct CallLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    calls: Calls,
    alarms: BinaryHeap<Reverse<Tick>>,
    /// When the last call gets its response.
    last_due: Tick,
}

impl CallLog {
    /// The calls so far.
    pub(crate) fn calls(&self) -> Calls {
        self.lock().calls
    }

    /// Sets an alarm.
    pub(crate) fn wake_at(&self, at: Tick) {
        self.lock().alarms.push(Reverse(at));
    }

    /// The first alarm after `now`.
    pub(crate) fn next_alarm(&self, now: Tick) -> Option<Tick> {
        let mut inner = self.lock();
        while inner.alarms.peek().is_some_and(|alarm| alarm.0 <= now) {
            inner.alarms.pop();
        }
        inner.alarms.peek().map(|alarm| alarm.0)
    }

    /// Counts a call and returns when it gets its response: each at a different moment, because tokio wakes tasks with the
    /// same deadline in random order.
    fn record(&self, group: Group, now: Tick) -> Tick {
        let mut inner = self.lock();
        inner.calls[group as usize] += 1;
        inner.last_due = (now + LATENCY).max(inner.last_due + Duration::from_nanos(1));
        let due = inner.last_due;
        inner.alarms.push(Reverse(due));
        // Another call may follow, and wait for the budget.
        inner.alarms.push(Reverse(due + LONGEST_TURN));
        due
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers a replica's calls.
pub(crate) struct InMemoryEngage {
    calls: CallLog,
    clock: Clock,
    has_phones: bool,
}

impl InMemoryEngage {
    /// `has_phones`: whether profiles contain a mobile number.
    pub(crate) fn new(calls: CallLog, clock: Clock, has_phones: bool) -> Self {
        Self {
            calls,
            clock,
            has_phones,
        }
    }
}

impl Exchange for InMemoryEngage {
    fn get<'a>(&'a self, path: &'a str, query: &'a [(&'a str, &'a str)]) -> ResponseFuture<'a> {
        let (group, response) = respond(path, query, self.has_phones);
        let due = self.calls.record(group, self.clock.now().tick);
        Box::pin(async move {
            self.clock.sleep_until(due).await;
            response.map(Bytes::from)
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

/// The mobile number of a contact: seven digits follow the prefix of a Swedish one.
pub(crate) fn mobile_phone(contact: u32) -> String {
    format!("{PHONE_PREFIX}{contact:07}")
}

/// The id of a contact.
pub(crate) fn id(contact: u32) -> ContactId {
    ContactId::parse(&guid(contact)).expect("a GUID")
}

/// The id of a contact as text.
pub(crate) fn guid(contact: u32) -> String {
    format!("6f1d2c3a-4b5e-4f60-8a71-{contact:012x}")
}

fn respond(path: &str, query: &[(&str, &str)], has_phones: bool) -> (Group, Result<String, Error>) {
    let words: Vec<&str> = path.split('/').collect();
    let (group, contact) = match words[..] {
        ["contactoverview"] => (Group::Overview, contact_of(query)),
        ["contacts", "id"] => {
            let guid = contact_of(query).map(|contact| format!("\"{}\"", guid(contact)));
            return (Group::Contacts, guid.ok_or(Error::NotFound));
        }
        ["contacts", guid] => (Group::Contacts, of_guid(guid)),
        ["contacts", guid, "promotions"] => (Group::Promotions, of_guid(guid)),
        ["reward-vouchers", "available"] => (Group::Vouchers, contact_of(query)),
        ["point-accounts"] => (Group::Points, contact_of(query)),
        _ => panic!("Engage has no {path}"),
    };
    let write = |contact| match group {
        Group::Overview => overview(contact, has_phones),
        Group::Contacts => format!("{{{}}}", profile(contact, has_phones)),
        Group::Promotions => promotions(contact),
        Group::Vouchers => format!("{{\"totalCount\":1,\"items\":{}}}", vouchers(contact)),
        Group::Points => points(contact),
        Group::Changes
        | Group::PointDefinitions
        | Group::PointTransactions
        | Group::RedeemedVouchers
        | Group::Purchases => {
            unreachable!("neither history nor anything in the background is requested")
        }
    };
    (group, contact.map(write).ok_or(Error::NotFound))
}

/// The contact of the first parameter.
fn contact_of(query: &[(&str, &str)]) -> Option<u32> {
    match query.first()? {
        ("email", email) => number(email.strip_prefix("kund")?.strip_suffix("@example.com")?),
        ("customKey", key) => number(key.strip_prefix('M')?),
        ("mobilePhone", phone) => number(phone.strip_prefix(PHONE_PREFIX)?),
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

fn overview(contact: u32, has_phones: bool) -> String {
    format!(
        r#"{{{},"audiences":[{{"id":"gold","name":"Gold"}}],"promotions":{},"bonusChecks":{}}}"#,
        profile(contact, has_phones),
        promotions(contact),
        vouchers(contact)
    )
}

fn profile(contact: u32, has_phone: bool) -> String {
    let phone = if has_phone {
        format!(r#","mobilePhone":"{}""#, mobile_phone(contact))
    } else {
        String::new()
    };
    format!(
        r#""id":"{}","attributes":{{"firstName":"Kund","lastName":"Nr {contact}","email":"{}","memberNumber":"{}"{phone}}},"meta":{{"contactType":"Member"}},"preferences":{{"acceptsEmail":true}},"consents":[]"#,
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
