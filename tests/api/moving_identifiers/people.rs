//! The contacts between which identifiers move, and the look-ups by them.

use std::{collections::VecDeque, fmt};

use engage_bff::domain::{
    ContactId, ContactType, Digester, Identifier, IdentifierKind, IdentifierRules, Lookup,
};
use engage_simulator::Simulator;
use jiff::civil::date;
use serde_json::{Value, json};

use crate::harness::id;

/// The kinds of identifier, in the order of `ATTRIBUTES`.
pub(crate) const KINDS: [IdentifierKind; 4] = [
    IdentifierKind::Email,
    IdentifierKind::MobilePhone,
    IdentifierKind::CustomKey,
    IdentifierKind::SocialSecurityNumber,
];
const ATTRIBUTES: [&str; 4] = [
    "email",
    "mobilePhone",
    "memberNumber",
    "socialSecurityNumber",
];
/// The number of contacts: two thirds are members. Each kind has as many values as there are members, and one more for
/// each contact, which the contact gets when it loses another.
const PEOPLE: usize = 36;
/// How many pairs of a changed value and a contact are remembered for look-ups.
const RECENT: usize = 30;
const VALUES: usize = PEOPLE * 2 / 3;
/// The service's key of digests.
pub(crate) const DIGEST_KEY: &str = "a key of the test of moving identifiers";

/// A value of an identifier kind among the contacts of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Slot {
    pub(crate) kind: usize,
    pub(crate) value: usize,
    pub(crate) is_member: bool,
}

/// The identifiers and the type of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    values: [usize; 4],
    is_member: bool,
}

impl State {
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.values[slot.kind] == slot.value && self.is_member == slot.is_member
    }
}

/// What a look-up asks for.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) lookup: Lookup,
    pub(crate) target: Target,
    pub(crate) is_fresh: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Contact(usize),
    Value(Slot),
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, fresh: {}", self.target, self.is_fresh)
    }
}

/// The contacts.
pub(crate) struct Contacts {
    ids: Vec<ContactId>,
    states: Vec<State>,
    digester: Digester,
    /// The last changes, with the contacts that had and have the value.
    recent: VecDeque<(Slot, usize)>,
}

impl Contacts {
    /// Creates the contacts. At first, values of one kind are unique among the contacts of one type.
    pub(crate) fn create(engage: &Simulator) -> Self {
        let mut contacts = Self {
            ids: Vec::new(),
            states: Vec::new(),
            digester: Digester::with_key(DIGEST_KEY.as_bytes()),
            recent: VecDeque::new(),
        };
        let members = (0..VALUES).map(|value| (value, true));
        let others = (0..PEOPLE - VALUES).map(|value| (value, false));
        for (value, is_member) in members.chain(others) {
            let state = State {
                values: [value; 4],
                is_member,
            };
            let attributes = ATTRIBUTES.iter().enumerate();
            let attributes: serde_json::Map<_, _> = attributes
                .map(|(kind, key)| ((*key).to_owned(), json!(text(kind, value))))
                .collect();
            let created = engage.create(Value::Object(attributes), type_of(&state));
            contacts.ids.push(id(&created));
            contacts.states.push(state);
        }
        contacts
    }

    pub(crate) fn state(&self) -> &[State] {
        &self.states
    }

    pub(crate) fn id(&self, person: usize) -> ContactId {
        self.ids[person]
    }

    pub(crate) fn person(&self, id: ContactId) -> Option<usize> {
        self.ids.iter().position(|own| *own == id)
    }

    pub(crate) fn any(&self) -> usize {
        fastrand::usize(0..self.ids.len())
    }

    /// A look-up by a contact's id or by a value; often one that changed recently.
    pub(crate) fn any_wanted(&self) -> Wanted {
        let is_recent = !self.recent.is_empty() && fastrand::u32(0..4) == 0;
        let target = if is_recent {
            let (slot, person) = self.recent[fastrand::usize(0..self.recent.len())];
            match fastrand::u32(0..4) {
                0 => Target::Contact(person),
                _ => Target::Value(slot),
            }
        } else if fastrand::u32(0..10) == 0 {
            Target::Contact(self.any())
        } else {
            let is_member = fastrand::u32(0..4) != 0;
            let kind = fastrand::usize(0..KINDS.len());
            Target::Value(any_slot(kind, is_member))
        };
        Wanted {
            lookup: self.lookup(target),
            target,
            is_fresh: fastrand::u32(0..30) == 0,
        }
    }

    fn lookup(&self, target: Target) -> Lookup {
        let slot = match target {
            Target::Contact(person) => return Lookup::by_id(self.ids[person]),
            Target::Value(slot) => slot,
        };
        let rules = IdentifierRules {
            phone_region: "SE".parse().expect("a country"),
            check_digits: true,
            national_id_country: None,
        };
        let (kind, text) = (KINDS[slot.kind], text(slot.kind, slot.value));
        let identifier = Identifier::parse(kind, &text, &rules, date(2026, 11, 23));
        let contact_type = if slot.is_member { "Member" } else { "Contact" };
        let contact_type = ContactType::parse(contact_type);
        Lookup::new(
            identifier.expect("an identifier"),
            contact_type,
            &self.digester,
        )
    }

    /// Moves an identifier, swaps two, lets two contacts share one, or changes a type. Returns the affected contacts.
    pub(crate) fn change(&mut self, engage: &Simulator) -> Vec<usize> {
        let to = self.any();
        let kind = fastrand::usize(0..KINDS.len());
        let is_member = self.states[to].is_member;
        let slot = any_slot(kind, is_member);
        let own = self.states[to].values[kind];
        let mut changed: Vec<_> = (0..PEOPLE)
            .filter(|person| self.states[*person].has(slot))
            .collect();
        match fastrand::u32(0..20) {
            0 => {
                self.states[to].is_member = !is_member;
                let contact = engage.contact(&self.ids[to].to_string());
                contact.contact_type(type_of(&self.states[to]));
                return vec![to];
            }
            // Several contacts share it from now on.
            1 => changed.clear(),
            2..8 => changed
                .iter()
                .for_each(|from| self.states[*from].values[kind] = own),
            // The contact always gets another value: a hidden field would not contradict what `/contacts/id` returned a
            // moment ago.
            _ => changed
                .iter()
                .for_each(|from| self.states[*from].values[kind] = VALUES + from),
        }
        self.states[to].values[kind] = slot.value;
        changed.retain(|from| *from != to);
        changed.push(to);
        for person in &changed {
            let value = text(kind, self.states[*person].values[kind]);
            let contact = engage.contact(&self.ids[*person].to_string());
            contact.attribute(ATTRIBUTES[kind], json!(value));
            self.recent.push_back((slot, *person));
        }
        let old = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..old);
        changed
    }
}

/// Some values are looked up and moved more often than others. A few belong to no contact.
fn any_slot(kind: usize, is_member: bool) -> Slot {
    let values = if is_member { VALUES } else { PEOPLE - VALUES };
    Slot {
        kind,
        value: fastrand::usize(0..values).min(fastrand::usize(0..values)),
        is_member,
    }
}

fn type_of(state: &State) -> &'static str {
    if state.is_member { "Member" } else { "Contact" }
}

/// A value as Engage writes it.
fn text(kind: usize, value: usize) -> String {
    match kind {
        0 => format!("person{value}@example.com"),
        1 => format!("+467289000{value:02}"),
        2 => format!("M-{value}"),
        _ => {
            let nine = format!("850709{:03}", 900 + value);
            let digits = nine.bytes().map(|digit| u32::from(digit - b'0'));
            let doubled = digits.enumerate().map(|(place, digit)| match digit * 2 {
                _ if place % 2 == 1 => digit,
                two if two > 9 => two - 9,
                two => two,
            });
            let check = (10 - doubled.sum::<u32>() % 10) % 10;
            format!("19{nine}{check}")
        }
    }
}

/// The number of the value that a profile's field shows.
pub(crate) fn value_of(kind: usize, shown: &str) -> Option<usize> {
    (0..VALUES + PEOPLE).find(|value| text(kind, *value) == shown)
}
