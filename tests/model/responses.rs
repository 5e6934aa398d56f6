//! Engage's responses: the world at one time, in the shapes of its endpoints; and the ways in which it may fail.

use bytes::Bytes;
use engage_bff::{
    config::ApiVersion,
    domain::Part,
    engage::{Error, overview_parts},
};
use serde_json::{Value, json};

use crate::{
    exchange::Target,
    model::PAUSE,
    world::{
        Alias, CONTACTS, Change, ContactState, Snapshot, address, guid, matches, member_number,
    },
};

/// The number of vouchers of a contact: two, so that they may be on two pages.
pub(crate) const VOUCHERS: usize = 2;

/// A response.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) answer: Result<Bytes, Error>,
    /// The versions that it contains.
    pub(crate) versions: Vec<(usize, Part, Change)>,
    /// The contact that it resolves an alias to, if it does.
    pub(crate) leads_to: Option<usize>,
    /// Whether Engage failed.
    pub(crate) faulty: bool,
    /// Whether its identifiers are unreadable.
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
    /// The body is truncated.
    Truncated,
    /// A part of it is unreadable.
    Garbled,
    /// It is about another contact.
    Misdirected,
    /// Its identifiers are unreadable.
    Unreadable,
}

/// How Engage responds in a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Responder {
    pub(crate) version: ApiVersion,
    /// How many items a page holds.
    pub(crate) page: usize,
    /// Whether it is known that a custom key is a member number.
    pub(crate) knows_custom_key: bool,
}

impl Responder {
    /// The response to a call from the world at one time.
    pub(crate) fn read(self, target: Target, offset: usize, world: &Snapshot) -> Response {
        let (answer, versions) = match target {
            Target::Overview(lookup) => match world.owners(lookup)[..] {
                [contact] => self.overview(contact, &world.contacts[contact]),
                ref owners => not_one(owners),
            },
            Target::Resolution(lookup) => match world.owners(lookup)[..] {
                [contact] => (Ok(bytes(&json!(guid(contact)))), Vec::new()),
                ref owners => not_one(owners),
            },
            Target::Entity(contact, part) => {
                let state = &world.contacts[contact];
                if state.alive {
                    self.entity(contact, part, offset, state)
                } else {
                    not_one(&[])
                }
            }
        };
        let leads_to = match (target, &answer) {
            (Target::Resolution(lookup), Ok(_)) => world.owners(lookup).first().copied(),
            _ => None,
        };
        Response {
            answer,
            versions,
            leads_to,
            faulty: false,
            is_unreadable: false,
        }
    }

    fn overview(self, contact: usize, state: &ContactState) -> Read {
        let version = |part: Part| (contact, part, state.versions[part]);
        let label = |part: Part| label(contact, state.versions[part]);
        let audience = json!({"id": label(Part::Audiences), "name": label(Part::Audiences)});
        let mut answer = profile(contact, state);
        answer["audiences"] = json!([audience]);
        answer["promotions"] = json!([{"id": label(Part::Promotions)}]);
        answer["bonusChecks"] = (0..VOUCHERS)
            .map(|number| voucher(contact, state, number))
            .collect();
        if self.version == ApiVersion::V2 {
            answer["attributes"]["bonusPoints"] = json!(balance(contact, state));
        }
        let versions = overview_parts(self.version).iter().map(version).collect();
        (Ok(bytes(&answer)), versions)
    }

    fn entity(self, contact: usize, part: Part, offset: usize, state: &ContactState) -> Read {
        let label = || label(contact, state.versions[part]);
        let answer = match part {
            Part::Profile => profile(contact, state),
            Part::Promotions => json!([{"id": label()}]),
            Part::Vouchers => {
                let page = (offset..VOUCHERS).take(self.page);
                let items: Value = page.map(|number| voucher(contact, state, number)).collect();
                json!({"totalCount": VOUCHERS, "items": items})
            }
            Part::Points => json!([{
                "contactId": guid(contact),
                "definitionId": "points",
                "balance": balance(contact, state),
            }]),
            Part::Audiences => panic!("audiences have no entity endpoint"),
        };
        let versions = vec![(contact, part, state.versions[part])];
        (Ok(bytes(&answer)), versions)
    }

    /// A failure, or a faulty response.
    pub(crate) fn fail(
        self,
        fault: Fault,
        target: Target,
        offset: usize,
        world: &Snapshot,
    ) -> Response {
        let whole = self.read(target, offset, world);
        let error = match fault {
            Fault::Failed => Error::Failed {
                status: 500,
                retry_after: None,
            },
            Fault::Timeout => Error::Timeout,
            // A fault that is not retried: a retry would wait for the clock.
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

    fn spoil(self, fault: Fault, whole: Response, target: Target, world: &Snapshot) -> Response {
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
                let mut versions = whole.versions;
                versions.retain(|(_, part, _)| *part != Part::Promotions);
                faulty(Ok(bytes(&answer)), versions)
            }
            Fault::Unreadable => unreadable(&body, whole.versions).unwrap_or_else(failed),
            Fault::Misdirected => self
                .misdirected(target, world)
                .map_or_else(failed, |(answer, versions)| faulty(answer, versions)),
            _ => failed(),
        }
    }

    /// The response about another contact, if the service can see that it is.
    fn misdirected(self, target: Target, world: &Snapshot) -> Option<Read> {
        let is_recognizable = |other: &ContactState| match target {
            Target::Overview(lookup) => match lookup.alias {
                Alias::Id(_) => true,
                Alias::Email(_) | Alias::AnyEmail(_) => other.email.is_some(),
                Alias::Key(_) => self.knows_custom_key && other.key.is_some(),
                Alias::AnyKey(_) => false,
            },
            Target::Entity(_, Part::Profile | Part::Points) => true,
            Target::Entity(..) | Target::Resolution(_) => false,
        };
        let (meant, is_meant) = match target {
            Target::Overview(lookup) | Target::Resolution(lookup) => {
                let meant = *world.owners(lookup).first()?;
                let other = (meant + 1) % CONTACTS;
                (meant, world.contacts[other].matches(other, lookup))
            }
            Target::Entity(contact, _) => (contact, false),
        };
        let other = (meant + 1) % CONTACTS;
        let state = &world.contacts[other];
        if is_meant || !state.alive || !is_recognizable(state) {
            return None;
        }
        Some(match target {
            Target::Entity(_, part) => self.entity(other, part, 0, state),
            Target::Overview(_) | Target::Resolution(_) => self.overview(other, state),
        })
    }
}

/// A body, and the versions that it contains.
type Read = (Result<Bytes, Error>, Vec<(usize, Part, Change)>);

fn faulty(answer: Result<Bytes, Error>, versions: Vec<(usize, Part, Change)>) -> Response {
    Response {
        answer,
        versions,
        leads_to: None,
        faulty: true,
        is_unreadable: false,
    }
}

/// The response with its identifiers replaced by unreadable ones; `None` if it has no attributes.
fn unreadable(body: &Bytes, versions: Vec<(usize, Part, Change)>) -> Option<Response> {
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    let attributes = answer.get_mut("attributes")?;
    attributes["email"] = json!("andr\u{e9}@example.com");
    attributes["memberNumber"] = json!({"number": 7});
    Some(Response {
        is_unreadable: true,
        ..faulty(Ok(bytes(&answer)), versions)
    })
}

fn not_one(owners: &[usize]) -> Read {
    let error = if owners.is_empty() {
        Error::NotFound
    } else {
        Error::MultipleMatches(matches(owners))
    };
    (Err(error), Vec::new())
}

fn bytes(answer: &Value) -> Bytes {
    Bytes::from(answer.to_string())
}

fn profile(contact: usize, state: &ContactState) -> Value {
    json!({
        "id": guid(contact),
        "attributes": {
            "firstName": label(contact, state.versions[Part::Profile]),
            "email": state.email.map(address),
            "memberNumber": state.key.map(member_number),
            "secrecyMarked": state.is_protected,
        },
        "meta": {"contactType": state.kind.as_str()},
        "preferences": {},
        "consents": [],
    })
}

fn voucher(contact: usize, state: &ContactState, number: usize) -> Value {
    let label = label(contact, state.versions[Part::Vouchers]);
    json!({"id": format!("{label}/{number}")})
}

fn balance(contact: usize, state: &ContactState) -> usize {
    state.versions[Part::Points] * 10 + contact
}

/// A contact and a version in one word.
fn label(contact: usize, version: Change) -> String {
    format!("c{contact}v{version}")
}

/// The contact and version of a word, without a voucher's number.
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
