//! Settings, contacts and fills for the tests.

use std::{sync::Arc, time::Duration};

use engage_bff::{
    cache::{
        FetchStart,
        fence::Sequence,
        freshness::{FetchSource, Provenance},
        parts::{Entry, Parts},
    },
    clock::{Clock, ManualClock},
    domain::{
        Audience, Audiences, ContactId, Digester, Identifier, Lookup, Part, PartMap, PartSet,
        Points, email::Email,
    },
    shared_tier::{BudgetSettings, Need, Settings, Wanted, budget_name},
};

const TIMEOUT: Duration = Duration::from_millis(50);
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(crate) const BOTH: PartSet = PartSet::of(&[Part::Audiences, Part::Points]);

pub(crate) fn settings(keys: &[u8]) -> Settings {
    Settings {
        timeout: TIMEOUT,
        lease: Duration::from_secs(10),
        overview_lag: Duration::from_secs(20),
        longest_flight: Duration::from_secs(10),
        lifetimes: PartMap::splat(LIFETIME),
        negative_lifetime: Duration::from_secs(30),
        message_memory: Duration::from_secs(600),
        encryption_keys: keys.iter().map(|key| [*key; 32]).collect(),
        digester: None,
        budget: BudgetSettings {
            name: budget_name("key"),
            requests_per_second: 50.0,
            burst: 10,
        },
    }
}

pub(crate) fn contact(number: u8) -> ContactId {
    let id = format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e{number:02x}");
    ContactId::parse(&id).expect("a contact id")
}

pub(crate) fn email(text: &str) -> Lookup {
    let email = Email::parse(text).expect("an e-mail address");
    Lookup::new(Identifier::Email(email), None, &Digester::random())
}

pub(crate) fn start(clock: &ManualClock) -> FetchStart {
    FetchStart {
        sequence: Sequence::default(),
        now: Clock::from(clock.clone()).now(),
    }
}

pub(crate) fn parts(start: FetchStart, name: &str) -> Parts {
    let provenance = Provenance {
        sequence: start.sequence,
        requested_at: start.now.tick,
        as_of: start.now.wall,
        lifetime: LIFETIME,
        source: FetchSource::Overview,
        differed_at: None,
        is_shared: false,
    };
    let audience = Audience {
        id: name.into(),
        name: None,
    };
    Parts {
        audiences: Some(Entry {
            data: Arc::new(Audiences {
                audiences: vec![audience],
                warnings: Vec::new(),
            }),
            provenance,
            incomplete: false,
        }),
        points: Some(Entry {
            data: Arc::new(Points::default()),
            provenance,
            incomplete: false,
        }),
        ..Parts::default()
    }
}

pub(crate) fn need(wanted: Wanted<'_>) -> Need<'_> {
    Need {
        wanted,
        needed: BOTH,
        fetched: BOTH,
        max_age: DAY,
        cached: PartMap::default(),
        cached_alias: None,
    }
}
