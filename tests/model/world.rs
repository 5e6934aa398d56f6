//! The world behind Engage: three contacts with their identifiers and parts, now and at every earlier time. Each part
//! contains its contact and the number of the change that made it, so a response shows which version of which contact
//! it has.

use engage_bff::{
    clock::Tick,
    domain::{
        ContactId, ContactType, Digester, Identifier, IdentifierKind, IdentifierRules, Lookup,
        Matches, Part, PartMap,
    },
};
use jiff::civil::{Date, date};

/// How many contacts there are.
pub(crate) const CONTACTS: usize = 3;
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
    /// The type as Engage spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Member => "Member",
            Kind::Contact => "Contact",
        }
    }

    /// The type as the service represents it.
    pub(crate) fn contact_type(self) -> ContactType {
        ContactType::parse(self.as_str()).expect("a contact type")
    }

    fn parse(text: &str) -> Self {
        match &*text.to_ascii_lowercase() {
            "member" => Kind::Member,
            "contact" => Kind::Contact,
            other => panic!("no contact type: {other}"),
        }
    }
}

/// An identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Alias {
    Id(usize),
    Email(usize),
    Key(usize),
    AnyEmail(usize),
    AnyKey(usize),
}

/// An identifier and the contact type that narrows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TestLookup {
    pub(crate) alias: Alias,
    pub(crate) kind: Option<Kind>,
}

impl TestLookup {
    /// The lookup of a call to Engage.
    pub(crate) fn of_query(query: &[(&str, &str)]) -> Self {
        let (param, value) = query[0];
        let email = || {
            let digits = value.strip_prefix('e')?.strip_suffix("@example.com")?;
            digits.parse().ok()
        };
        let key = || value.strip_prefix("M-")?.parse().ok();
        let alias = match param {
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
            alias: alias.unwrap_or_else(|| panic!("Engage does not know {query:?}")),
            kind: types.next().map(|(_, text)| Kind::parse(text)),
        }
    }

    /// The service's lookup; `shouted`: with the type in capitals.
    pub(crate) fn build(self, shouted: bool, digester: &Digester) -> Lookup {
        let (kind, text) = match self.alias {
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

/// What Engage lists if several contacts have an identifier.
pub(crate) fn matches(owners: &[usize]) -> Matches {
    Matches::of(owners.iter().map(|owner| Some(id(*owner))))
}

/// The contact of a GUID.
pub(crate) fn contact(guid: &str) -> Option<usize> {
    (0..CONTACTS).find(|contact| self::guid(*contact) == guid)
}

/// An e-mail address.
pub(crate) fn address(email: usize) -> String {
    format!("e{email}@example.com")
}

/// A member number.
pub(crate) fn member_number(key: usize) -> String {
    format!("M-{key}")
}

/// A contact at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContactState {
    pub(crate) alive: bool,
    pub(crate) kind: Kind,
    /// Whether the identity is protected.
    pub(crate) is_protected: bool,
    pub(crate) email: Option<usize>,
    pub(crate) key: Option<usize>,
    /// The change that made each part.
    pub(crate) versions: PartMap<Change>,
}

impl ContactState {
    /// Whether this contact, with the number `own`, has the identifier and is of the type.
    pub(crate) fn matches(&self, own: usize, lookup: TestLookup) -> bool {
        let named = match lookup.alias {
            Alias::Id(contact) => contact == own,
            Alias::Email(email) | Alias::AnyEmail(email) => self.email == Some(email),
            Alias::Key(key) | Alias::AnyKey(key) => self.key == Some(key),
        };
        self.alive && named && lookup.kind.is_none_or(|kind| kind == self.kind)
    }
}

/// All contacts at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot {
    pub(crate) since: Tick,
    pub(crate) contacts: [ContactState; CONTACTS],
}

impl Snapshot {
    /// The contacts that have the identifier and are of the type.
    pub(crate) fn owners(&self, lookup: TestLookup) -> Vec<usize> {
        (0..CONTACTS)
            .filter(|contact| self.contacts[*contact].matches(*contact, lookup))
            .collect()
    }
}

/// All contacts at all times.
#[derive(Debug)]
pub(crate) struct World {
    history: Vec<Snapshot>,
}

impl World {
    pub(crate) fn new(now: Tick) -> Self {
        let state = |kind, email, key| ContactState {
            alive: true,
            kind,
            is_protected: false,
            email: Some(email),
            key,
            versions: PartMap::splat(0),
        };
        let contacts = [
            state(Kind::Member, 0, Some(0)),
            state(Kind::Member, 1, Some(1)),
            state(Kind::Contact, 2, None),
        ];
        Self {
            history: vec![Snapshot {
                since: now,
                contacts,
            }],
        }
    }

    /// The present state.
    pub(crate) fn now(&self) -> &Snapshot {
        &self.history[self.change()]
    }

    /// The number of the last change.
    pub(crate) fn change(&self) -> Change {
        self.history.len() - 1
    }

    /// The state after a change.
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

    /// Whether the contact had the identifier at any time since `since`, and after the change of number `floor`.
    pub(crate) fn had(
        &self,
        contact: usize,
        lookup: TestLookup,
        since: Tick,
        floor: Change,
    ) -> bool {
        let ends_before = |next: &Snapshot| next.since < since;
        let gone = self.history[1..]
            .iter()
            .take_while(|next| ends_before(next));
        let from = gone.count().max(floor);
        self.history[from..]
            .iter()
            .any(|snapshot| snapshot.contacts[contact].matches(contact, lookup))
    }

    /// Whether the contact has had the identifier ever since a change.
    pub(crate) fn has_had_since(&self, contact: usize, lookup: TestLookup, change: Change) -> bool {
        self.history[change..]
            .iter()
            .all(|snapshot| snapshot.contacts[contact].matches(contact, lookup))
    }

    /// Whether, in any state since change `floor`, the contact existed and its profile could not contradict the
    /// identifier because it showed no value of the identifier's kind. A custom key is shown only if `knows_key`.
    pub(crate) fn hides(
        &self,
        contact: usize,
        lookup: TestLookup,
        floor: Change,
        knows_key: bool,
    ) -> bool {
        self.history[floor..].iter().any(|snapshot| {
            let state = &snapshot.contacts[contact];
            let shown = match lookup.alias {
                Alias::Id(_) | Alias::AnyKey(_) => false,
                Alias::Email(_) | Alias::AnyEmail(_) => state.email.is_some(),
                Alias::Key(_) => knows_key && state.key.is_some(),
            };
            state.alive && !shown && lookup.kind.is_none_or(|kind| kind == state.kind)
        })
    }

    /// Changes a contact's part.
    pub(crate) fn edit(&mut self, now: Tick, contact: usize, part: Part) {
        self.alter(now, |contacts, change| {
            contacts[contact].versions[part] = change;
        });
    }

    /// Moves an e-mail address to a contact. With `swap`, the former owners get the contact's own address; without it,
    /// they have none afterwards.
    pub(crate) fn move_email(&mut self, now: Tick, email: usize, to: usize, swap: bool) {
        let left = self.now().contacts[to].email.filter(|_| swap);
        self.alter_profiles(now, |contact, state| {
            if contact == to {
                state.email = Some(email);
            } else if state.email == Some(email) {
                state.email = left;
            }
        });
    }

    /// The same for a member number.
    pub(crate) fn move_key(&mut self, now: Tick, key: usize, to: usize, swap: bool) {
        let left = self.now().contacts[to].key.filter(|_| swap);
        self.alter_profiles(now, |contact, state| {
            if contact == to {
                state.key = Some(key);
            } else if state.key == Some(key) {
                state.key = left;
            }
        });
    }

    /// Gives an e-mail address to one more contact.
    pub(crate) fn share_email(&mut self, now: Tick, email: usize, with: usize) {
        self.alter_profiles(now, |contact, state| {
            if contact == with {
                state.email = Some(email);
            }
        });
    }

    /// Gives a member number to one more contact.
    pub(crate) fn share_key(&mut self, now: Tick, key: usize, with: usize) {
        self.alter_profiles(now, |contact, state| {
            if contact == with {
                state.key = Some(key);
            }
        });
    }

    /// Marks the contact as protected or unprotected.
    pub(crate) fn protect(&mut self, now: Tick, contact: usize) {
        self.alter_profiles(now, |other, state| {
            state.is_protected ^= contact == other;
        });
    }

    /// Changes the contact's type to the other one.
    pub(crate) fn retype(&mut self, now: Tick, contact: usize) {
        self.alter_profiles(now, |other, state| {
            if contact == other {
                state.kind = match state.kind {
                    Kind::Member => Kind::Contact,
                    Kind::Contact => Kind::Member,
                };
            }
        });
    }

    /// Deletes a contact, or restores it.
    pub(crate) fn set_alive(&mut self, now: Tick, contact: usize, alive: bool) {
        if self.now().contacts[contact].alive != alive {
            self.alter(now, |contacts, change| {
                contacts[contact].alive = alive;
                contacts[contact].versions = PartMap::splat(change);
            });
        }
    }

    fn alter_profiles(&mut self, now: Tick, change: impl Fn(usize, &mut ContactState)) {
        self.alter(now, |contacts, number| {
            for (contact, state) in contacts.iter_mut().enumerate() {
                let identity =
                    |state: &ContactState| (state.email, state.key, state.kind, state.is_protected);
                let before = identity(state);
                change(contact, state);
                if before != identity(state) {
                    state.versions[Part::Profile] = number;
                }
            }
        });
    }

    fn alter(&mut self, now: Tick, change: impl FnOnce(&mut [ContactState; CONTACTS], Change)) {
        let mut contacts = self.now().contacts;
        change(&mut contacts, self.history.len());
        self.history.push(Snapshot {
            since: now,
            contacts,
        });
    }
}
