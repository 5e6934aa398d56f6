//! What Engage writes: the world, read at some moment, in the shapes of its endpoints; and the ways in
//! which it may fail.

use bytes::Bytes;
use engage_bff::{config::ApiVersion, domain::Part, engage::Error};
use serde_json::{Value, json};

use crate::{
    exchange::Target,
    model::PAUSE,
    world::{Alias, Change, PEOPLE, Person, Snapshot, address, guid, member_number},
};

/// How many vouchers everybody has: two, so that they may come on two pages.
pub(crate) const VOUCHERS: usize = 2;

/// An answer in the making.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    pub(crate) answer: Result<Bytes, Error>,
    /// Which versions it tells.
    pub(crate) tells: Vec<(usize, Part, Change)>,
    /// Whom it names, of a name that was to be resolved.
    pub(crate) names: Option<usize>,
    /// Whether Engage failed.
    pub(crate) faulty: bool,
    /// Whether the identifiers that it shows can't be read.
    pub(crate) is_unreadable: bool,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Failed,
    Timeout,
    Unreachable,
    RateLimited,
    Forbidden,
    Invalid,
    /// The answer breaks off.
    Truncated,
    /// A part of it can't be read.
    Garbled,
    /// It is about somebody else.
    Misdirected,
    /// The identifiers that it shows can't be read.
    Unreadable,
}

/// Engage's ways in a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ways {
    pub(crate) version: ApiVersion,
    /// How many items a page holds.
    pub(crate) page: usize,
    /// Whether it is known that a custom key is a member number.
    pub(crate) knows_custom_key: bool,
}

impl Ways {
    /// What a call is answered from the world as it was after a change.
    pub(crate) fn read(self, target: Target, offset: usize, world: &Snapshot) -> Content {
        let (answer, tells) = match target {
            Target::Overview(who) => match world.bearers(who)[..] {
                [contact] => self.overview(contact, &world.people[contact]),
                ref bearers => nobody(bearers),
            },
            Target::Resolution(who) => match world.bearers(who)[..] {
                [contact] => (Ok(bytes(&json!(guid(contact)))), Vec::new()),
                ref bearers => nobody(bearers),
            },
            Target::Entity(contact, part) => {
                let person = &world.people[contact];
                if person.alive {
                    self.entity(contact, part, offset, person)
                } else {
                    nobody(&[])
                }
            }
        };
        let names = match (target, &answer) {
            (Target::Resolution(who), Ok(_)) => world.bearers(who).first().copied(),
            _ => None,
        };
        Content {
            answer,
            tells,
            names,
            faulty: false,
            is_unreadable: false,
        }
    }

    fn overview(self, contact: usize, person: &Person) -> Read {
        let told = |part: Part| (contact, part, person.versions[part as usize]);
        let label = |part: Part| label(contact, person.versions[part as usize]);
        let audience = json!({"id": label(Part::Audiences), "name": label(Part::Audiences)});
        let mut answer = profile(contact, person);
        answer["audiences"] = json!([audience]);
        answer["promotions"] = json!([{"id": label(Part::Promotions)}]);
        answer["bonusChecks"] = (0..VOUCHERS)
            .map(|number| voucher(contact, person, number))
            .collect();
        let mut tells = vec![
            told(Part::Profile),
            told(Part::Audiences),
            told(Part::Promotions),
            told(Part::Vouchers),
        ];
        if self.version == ApiVersion::V2 {
            answer["attributes"]["bonusPoints"] = json!(balance(contact, person));
            tells.push(told(Part::Points));
        }
        (Ok(bytes(&answer)), tells)
    }

    fn entity(self, contact: usize, part: Part, offset: usize, person: &Person) -> Read {
        let label = || label(contact, person.versions[part as usize]);
        let answer = match part {
            Part::Profile => profile(contact, person),
            Part::Promotions => json!([{"id": label()}]),
            Part::Vouchers => {
                let page = (offset..VOUCHERS).take(self.page);
                let items: Value = page
                    .map(|number| voucher(contact, person, number))
                    .collect();
                json!({"totalCount": VOUCHERS, "items": items})
            }
            Part::Points => json!([{
                "contactId": guid(contact),
                "definitionId": "points",
                "balance": balance(contact, person),
            }]),
            Part::Audiences => panic!("Engage tells audiences in the overview alone"),
        };
        let tells = vec![(contact, part, person.versions[part as usize])];
        (Ok(bytes(&answer)), tells)
    }

    /// A failing answer.
    pub(crate) fn fail(
        self,
        fault: Fault,
        target: Target,
        offset: usize,
        world: &Snapshot,
    ) -> Content {
        let whole = self.read(target, offset, world);
        let error = match fault {
            Fault::Failed => Error::Failed {
                status: 500,
                retry_after: None,
            },
            Fault::Timeout => Error::Timeout,
            // Faults after which nothing is tried once more: a retry waits for the clock.
            Fault::Unreachable => Error::Unreachable {
                what: "reading the response",
            },
            Fault::RateLimited => Error::RateLimited {
                retry_after: Some(PAUSE),
            },
            Fault::Forbidden => Error::Forbidden,
            Fault::Invalid => Error::Invalid { path: "$".into() },
            Fault::Truncated | Fault::Garbled | Fault::Misdirected | Fault::Unreadable => {
                return self.spoil(fault, whole, target, world);
            }
        };
        faulty(Err(error), Vec::new())
    }

    fn spoil(self, fault: Fault, whole: Content, target: Target, world: &Snapshot) -> Content {
        let failed = || {
            faulty(
                Err(Error::Failed {
                    status: 500,
                    retry_after: None,
                }),
                Vec::new(),
            )
        };
        let Ok(body) = whole.answer else {
            return failed();
        };
        match fault {
            Fault::Truncated => faulty(Ok(body.slice(..body.len() / 2)), Vec::new()),
            Fault::Garbled if matches!(target, Target::Overview(_)) => {
                let mut answer: Value = serde_json::from_slice(&body).expect("JSON");
                answer["promotions"] = json!(7);
                let mut tells = whole.tells;
                tells.retain(|(_, part, _)| *part != Part::Promotions);
                faulty(Ok(bytes(&answer)), tells)
            }
            Fault::Unreadable => unreadable(&body, whole.tells).unwrap_or_else(failed),
            Fault::Misdirected => self
                .misdirected(target, world)
                .map_or_else(failed, |(answer, tells)| faulty(answer, tells)),
            _ => failed(),
        }
    }

    /// The answer to the same question about somebody else, where it can be seen that it is.
    fn misdirected(self, target: Target, world: &Snapshot) -> Option<Read> {
        let tells_on = |other: &Person| match target {
            Target::Overview(who) => match who.name {
                Alias::Id(_) => true,
                Alias::Email(_) | Alias::AnyEmail(_) => other.email.is_some(),
                Alias::Key(_) => self.knows_custom_key && other.key.is_some(),
                Alias::AnyKey(_) => false,
            },
            Target::Entity(_, Part::Profile | Part::Points) => true,
            Target::Entity(..) | Target::Resolution(_) => false,
        };
        let (meant, is_meant) = match target {
            Target::Overview(who) | Target::Resolution(who) => {
                let meant = *world.bearers(who).first()?;
                let other = (meant + 1) % PEOPLE;
                (meant, world.people[other].matches(other, who))
            }
            Target::Entity(contact, _) => (contact, false),
        };
        let other = (meant + 1) % PEOPLE;
        let person = &world.people[other];
        if is_meant || !person.alive || !tells_on(person) {
            return None;
        }
        Some(match target {
            Target::Entity(_, part) => self.entity(other, part, 0, person),
            Target::Overview(_) | Target::Resolution(_) => self.overview(other, person),
        })
    }
}

/// An answer, and the versions that it tells.
type Read = (Result<Bytes, Error>, Vec<(usize, Part, Change)>);

fn faulty(answer: Result<Bytes, Error>, tells: Vec<(usize, Part, Change)>) -> Content {
    Content {
        answer,
        tells,
        names: None,
        faulty: true,
        is_unreadable: false,
    }
}

/// A profile whose identifiers are there and can't be read.
fn unreadable(body: &Bytes, tells: Vec<(usize, Part, Change)>) -> Option<Content> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let attributes = answer.get_mut("attributes")?;
    attributes["email"] = json!("andr\u{e9}@example.com");
    attributes["memberNumber"] = json!({"number": 7});
    Some(Content {
        is_unreadable: true,
        ..faulty(Ok(bytes(&answer)), tells)
    })
}

fn nobody(bearers: &[usize]) -> Read {
    let error = if bearers.is_empty() {
        Error::NotFound
    } else {
        Error::MultipleMatches
    };
    (Err(error), Vec::new())
}

fn bytes(answer: &Value) -> Bytes {
    Bytes::from(answer.to_string())
}

fn profile(contact: usize, person: &Person) -> Value {
    json!({
        "id": guid(contact),
        "attributes": {
            "firstName": label(contact, person.versions[Part::Profile as usize]),
            "email": person.email.map(address),
            "memberNumber": person.key.map(member_number),
        },
        "meta": {"contactType": person.kind.as_str()},
        "preferences": {},
        "consents": [],
    })
}

fn voucher(contact: usize, person: &Person, number: usize) -> Value {
    let label = label(contact, person.versions[Part::Vouchers as usize]);
    json!({"id": format!("{label}/{number}")})
}

fn balance(contact: usize, person: &Person) -> usize {
    person.versions[Part::Points as usize] * 10 + contact
}

/// A contact and a version in one word.
fn label(contact: usize, version: Change) -> String {
    format!("c{contact}v{version}")
}

/// The contact and version of a word; of a voucher's the page order is left out.
pub(crate) fn read_label(text: &str) -> Option<(usize, Change)> {
    let (contact, rest) = text.strip_prefix('c')?.split_once('v')?;
    let version = rest.split('/').next()?;
    Some((contact.parse().ok()?, version.parse().ok()?))
}

/// The contact and version of a balance.
pub(crate) fn read_balance(text: &str) -> Option<(usize, Change)> {
    let balance: usize = text.parse().ok()?;
    Some((balance % 10, balance / 10))
}
