//! The world behind Engage: three people, what they bear and own, and everything that they ever bore
//! and owned. Each part carries its contact and the number of the change that made it, so that an
//! answer shows exactly which version of whom it holds.

use engage_bff::{
    clock::Tick,
    domain::{
        ContactId, ContactType, Digester, Identifier, IdentifierKind, IdentifierRules, Lookup, Part,
    },
};
use jiff::civil::{Date, date};

/// How many people there are.
pub(crate) const PEOPLE: usize = 3;
/// The number of a change: later changes have greater numbers.
pub(crate) type Change = usize;

/// How identifiers are read.
pub(crate) const RULES: IdentifierRules = IdentifierRules {
    phone_region: phonenumber::country::SE,
    check_digits: true,
    national_id_country: None,
};
const TODAY: Date = date(2026, 11, 23);

/// The two contact types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Member,
    Contact,
}

impl Kind {
    /// Engage's spelling.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Member => "Member",
            Kind::Contact => "Contact",
        }
    }

    fn parse(text: &str) -> Self {
        match &*text.to_ascii_lowercase() {
            "member" => Kind::Member,
            "contact" => Kind::Contact,
            other => panic!("no contact type: {other}"),
        }
    }
}

/// What somebody is asked for by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alias {
    Id(usize),
    Email(usize),
    Key(usize),
    AnyEmail(usize),
    AnyKey(usize),
}

/// A name and the contact type that narrows it: the same thing for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Who {
    pub(crate) name: Alias,
    pub(crate) kind: Option<Kind>,
}

impl Who {
    /// Whom a question of ours to Engage is about.
    pub(crate) fn of_query(query: &[(&str, &str)]) -> Self {
        let (param, value) = query[0];
        let email = || {
            let digits = value.strip_prefix('e')?.strip_suffix("@example.com")?;
            digits.parse().ok()
        };
        let key = || value.strip_prefix("M-")?.parse().ok();
        let name = match param {
            "contactId" => contact(value).map(Alias::Id),
            "email" => email().map(Alias::Email),
            "customKey" => key().map(Alias::Key),
            "any" => email()
                .map(Alias::AnyEmail)
                .or_else(|| key().map(Alias::AnyKey)),
            _ => None,
        };
        let mut types = query.iter().filter(|(param, _)| *param == "contactType");
        Self {
            name: name.unwrap_or_else(|| panic!("Engage does not know {query:?}")),
            kind: types.next().map(|(_, text)| Kind::parse(text)),
        }
    }

    /// The look-up, with the type in the given spelling.
    pub(crate) fn lookup(self, shouted: bool, digester: &Digester) -> Lookup {
        let (kind, text) = match self.name {
            Alias::Id(contact) => (IdentifierKind::ContactId, guid(contact)),
            Alias::Email(email) => (IdentifierKind::Email, address(email)),
            Alias::Key(key) => (IdentifierKind::CustomKey, member_number(key)),
            Alias::AnyEmail(email) => (IdentifierKind::Any, address(email)),
            Alias::AnyKey(key) => (IdentifierKind::Any, member_number(key)),
        };
        let identifier = Identifier::parse(kind, &text, &RULES, TODAY).expect("an identifier");
        let contact_type = self.kind.map(|kind| {
            let text = if shouted {
                kind.as_str().to_ascii_uppercase()
            } else {
                kind.as_str().to_owned()
            };
            ContactType::parse(&text).expect("a contact type")
        });
        Lookup::new(identifier, contact_type, digester)
    }
}

/// The GUID of a contact.
pub(crate) fn guid(contact: usize) -> String {
    format!("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e0{contact}")
}

/// The id of a contact.
pub(crate) fn id(contact: usize) -> ContactId {
    ContactId::parse(&guid(contact)).expect("an id")
}

/// The contact of a GUID.
pub(crate) fn contact(guid: &str) -> Option<usize> {
    (0..PEOPLE).find(|contact| self::guid(*contact) == guid)
}

/// An e-mail address.
pub(crate) fn address(email: usize) -> String {
    format!("e{email}@example.com")
}

/// A member number.
pub(crate) fn member_number(key: usize) -> String {
    format!("M-{key}")
}

/// One person at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    pub(crate) alive: bool,
    pub(crate) kind: Kind,
    pub(crate) email: Option<usize>,
    pub(crate) key: Option<usize>,
    /// The change that made each part.
    pub(crate) versions: [Change; 5],
}

impl Person {
    /// Whether contact number `own` bears the name and is of the type.
    pub(crate) fn matches(&self, own: usize, who: Who) -> bool {
        let named = match who.name {
            Alias::Id(contact) => contact == own,
            Alias::Email(email) | Alias::AnyEmail(email) => self.email == Some(email),
            Alias::Key(key) | Alias::AnyKey(key) => self.key == Some(key),
        };
        self.alive && named && who.kind.is_none_or(|kind| kind == self.kind)
    }
}

/// Everybody at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) since: Tick,
    pub(crate) people: [Person; PEOPLE],
}

impl Snapshot {
    /// Who bears the name and is of the type.
    pub(crate) fn bearers(&self, who: Who) -> Vec<usize> {
        (0..PEOPLE)
            .filter(|contact| self.people[*contact].matches(*contact, who))
            .collect()
    }
}

/// Everybody at all times.
#[derive(Debug)]
pub(crate) struct World {
    history: Vec<Snapshot>,
}

impl World {
    pub(crate) fn new(now: Tick) -> Self {
        let person = |kind, email, key| Person {
            alive: true,
            kind,
            email: Some(email),
            key,
            versions: [0; 5],
        };
        let people = [
            person(Kind::Member, 0, Some(0)),
            person(Kind::Member, 1, Some(1)),
            person(Kind::Contact, 2, None),
        ];
        Self {
            history: vec![Snapshot { since: now, people }],
        }
    }

    /// How things are.
    pub(crate) fn now(&self) -> &Snapshot {
        &self.history[self.change()]
    }

    /// The number of the last change.
    pub(crate) fn change(&self) -> Change {
        self.history.len() - 1
    }

    /// How things were after a change.
    pub(crate) fn at(&self, change: Change) -> &Snapshot {
        &self.history[change]
    }

    /// The number of the last change that had happened at a time.
    pub(crate) fn as_of(&self, time: Tick) -> Change {
        let later = self
            .history
            .iter()
            .rposition(|snapshot| snapshot.since <= time);
        later.unwrap_or(0)
    }

    /// Whether the contact bore the name at some time since, and after the change of that number.
    pub(crate) fn bore(&self, contact: usize, who: Who, since: Tick, floor: Change) -> bool {
        let ends_before = |next: &Snapshot| next.since < since;
        let gone = self.history[1..]
            .iter()
            .take_while(|next| ends_before(next));
        let from = gone.count().max(floor);
        self.history[from..]
            .iter()
            .any(|snapshot| snapshot.people[contact].matches(contact, who))
    }

    /// Whether the contact has borne the name ever since a change.
    pub(crate) fn has_borne_since(&self, contact: usize, who: Who, change: Change) -> bool {
        self.history[change..]
            .iter()
            .all(|snapshot| snapshot.people[contact].matches(contact, who))
    }

    /// Whether, after that change, the contact at some time showed nothing against the name: none of its
    /// kind, or one where it is not known which attribute the name is.
    pub(crate) fn hides(&self, contact: usize, who: Who, floor: Change, knows_key: bool) -> bool {
        self.history[floor..].iter().any(|snapshot| {
            let person = &snapshot.people[contact];
            let shown = match who.name {
                Alias::Id(_) | Alias::AnyKey(_) => false,
                Alias::Email(_) | Alias::AnyEmail(_) => person.email.is_some(),
                Alias::Key(_) => knows_key && person.key.is_some(),
            };
            person.alive && !shown && who.kind.is_none_or(|kind| kind == person.kind)
        })
    }

    /// Changes somebody's part.
    pub(crate) fn edit(&mut self, now: Tick, contact: usize, part: Part) {
        self.alter(now, |people, change| {
            people[contact].versions[part as usize] = change;
        });
    }

    /// An e-mail address goes over to somebody, who leaves theirs to the former owners or to nobody.
    pub(crate) fn move_email(&mut self, now: Tick, email: usize, to: usize, swap: bool) {
        let left = self.now().people[to].email.filter(|_| swap);
        self.alter_profiles(now, |contact, person| {
            if contact == to {
                person.email = Some(email);
            } else if person.email == Some(email) {
                person.email = left;
            }
        });
    }

    /// The same for a member number.
    pub(crate) fn move_key(&mut self, now: Tick, key: usize, to: usize, swap: bool) {
        let left = self.now().people[to].key.filter(|_| swap);
        self.alter_profiles(now, |contact, person| {
            if contact == to {
                person.key = Some(key);
            } else if person.key == Some(key) {
                person.key = left;
            }
        });
    }

    /// Somebody takes an e-mail address that others keep.
    pub(crate) fn share_email(&mut self, now: Tick, email: usize, with: usize) {
        self.alter_profiles(now, |contact, person| {
            if contact == with {
                person.email = Some(email);
            }
        });
    }

    /// Somebody becomes a contact of the other type.
    pub(crate) fn retype(&mut self, now: Tick, contact: usize) {
        self.alter_profiles(now, |other, person| {
            if contact == other {
                person.kind = match person.kind {
                    Kind::Member => Kind::Contact,
                    Kind::Contact => Kind::Member,
                };
            }
        });
    }

    /// Somebody is deleted, or comes back.
    pub(crate) fn set_alive(&mut self, now: Tick, contact: usize, alive: bool) {
        if self.now().people[contact].alive != alive {
            self.alter(now, |people, change| {
                people[contact].alive = alive;
                people[contact].versions = [change; 5];
            });
        }
    }

    fn alter_profiles(&mut self, now: Tick, change: impl Fn(usize, &mut Person)) {
        self.alter(now, |people, number| {
            for (contact, person) in people.iter_mut().enumerate() {
                let before = (person.email, person.key, person.kind);
                change(contact, person);
                if before != (person.email, person.key, person.kind) {
                    person.versions[Part::Profile as usize] = number;
                }
            }
        });
    }

    fn alter(&mut self, now: Tick, change: impl FnOnce(&mut [Person; PEOPLE], Change)) {
        let mut people = self.now().people;
        change(&mut people, self.history.len());
        self.history.push(Snapshot { since: now, people });
    }
}
