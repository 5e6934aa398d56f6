//! The data of one tenant: every contact with its current version and past ones.
//!
//! Initial contacts have always existed.

mod history;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use self::history::History;
use crate::{
    contact::Contact,
    fixtures,
    identifier::{self, Identifier},
    seed,
    settings::Settings,
};

/// A kind of change, as in `/contacts/changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeType {
    Created,
    Updated,
    Deleted,
}

/// A point definition of the tenant.
#[derive(Debug, Clone)]
pub(crate) struct PointDefinition {
    pub(crate) name: String,
    pub(crate) description: String,
}

/// The state of the simulated tenant.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) rng: Rng,
    /// By id.
    pub(crate) point_definitions: BTreeMap<u32, PointDefinition>,
    histories: HashMap<String, History>,
    /// Ids in order of creation, including deleted ones.
    order: Vec<String>,
    /// Contacts that have ever had an identifier; their history says when.
    by_identifier: HashMap<Identifier, Vec<String>>,
    contact_types: HashSet<String>,
    changes: Vec<(Timestamp, ChangeType, String)>,
}

impl World {
    /// A world of the fixed contacts and `count` others.
    pub(crate) fn new(seed: u64, count: usize, now: Timestamp) -> Self {
        let mut rng = Rng::with_seed(seed);
        let generated = seed::contacts(&mut rng, now, count);
        let mut world = Self {
            settings: Settings::default(),
            rng,
            point_definitions: point_definitions(),
            histories: HashMap::new(),
            order: Vec::new(),
            by_identifier: HashMap::new(),
            contact_types: ["member", "contact"].map(str::to_owned).into(),
            changes: Vec::new(),
        };
        for contact in fixtures::contacts(now).into_iter().chain(generated) {
            world.store(Timestamp::MIN, contact);
        }
        world
    }

    /// The ids of the contacts that exist now.
    pub(crate) fn ids(&self) -> Vec<String> {
        let exists = |id: &&String| self.current(id).is_some();
        self.order.iter().filter(exists).cloned().collect()
    }

    pub(crate) fn current(&self, id: &str) -> Option<&Arc<Contact>> {
        self.histories.get(id)?.current()
    }

    /// The contact as it was at `time`.
    pub(crate) fn as_of(&self, id: &str, time: Timestamp) -> Option<&Arc<Contact>> {
        self.histories.get(id)?.as_of(time)
    }

    /// The time of the overview's data.
    pub(crate) fn overview_time(&self, now: Timestamp) -> Timestamp {
        SignedDuration::try_from(self.settings.overview_lag)
            .ok()
            .and_then(|lag| now.checked_sub(lag).ok())
            .unwrap_or(Timestamp::MIN)
    }

    /// The contacts with the identifier now, or at `time`.
    pub(crate) fn find(
        &self,
        identifier: &Identifier,
        time: Option<Timestamp>,
    ) -> Vec<&Arc<Contact>> {
        let ids = self
            .by_identifier
            .get(identifier)
            .map_or(&[][..], Vec::as_slice);
        ids.iter()
            .filter_map(|id| match time {
                Some(time) => self.as_of(id, time),
                None => self.current(id),
            })
            .filter(|contact| identifiers_of(contact).contains(identifier))
            .collect()
    }

    pub(crate) fn knows_type(&self, contact_type: &str) -> bool {
        self.contact_types.contains(&contact_type.to_lowercase())
    }

    /// Ids of the contacts changed between two times, each once.
    pub(crate) fn changed(
        &self,
        change: ChangeType,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<String> {
        let mut seen = HashSet::new();
        self.changes
            .iter()
            .filter(|(at, kind, _)| *kind == change && from <= *at && *at <= to)
            .filter(|(_, _, id)| seen.insert(id.as_str()))
            .map(|(_, _, id)| id.clone())
            .collect()
    }

    /// Adds a contact, or a new version of one.
    pub(crate) fn store(&mut self, at: Timestamp, contact: Contact) {
        for identifier in identifiers_of(&contact) {
            let ids = self.by_identifier.entry(identifier).or_default();
            if !ids.contains(&contact.id) {
                ids.push(contact.id.clone());
            }
        }
        self.contact_types
            .insert(contact.contact_type().to_lowercase());
        let id = contact.id.clone();
        if !self.histories.contains_key(&id) {
            self.order.push(id.clone());
        }
        let keep_from = self.overview_time(at);
        let history = self.histories.entry(id).or_default();
        history.push(at, Some(Arc::new(contact)), keep_from);
    }

    /// Removes a contact; its past stays visible in a lagging overview.
    pub(crate) fn remove(&mut self, at: Timestamp, id: &str) {
        let keep_from = self.overview_time(at);
        if let Some(history) = self.histories.get_mut(id) {
            history.push(at, None, keep_from);
        }
    }

    /// Records a change for `/contacts/changes`.
    pub(crate) fn record_change(&mut self, at: Timestamp, change: ChangeType, id: &str) {
        self.changes.push((at, change, id.to_owned()));
    }
}

fn point_definitions() -> BTreeMap<u32, PointDefinition> {
    let definition = |(id, name, description): (u32, &str, &str)| {
        let definition = PointDefinition {
            name: name.to_owned(),
            description: description.to_owned(),
        };
        (id, definition)
    };
    seed::POINT_DEFINITIONS
        .into_iter()
        .map(definition)
        .collect()
}

/// The identifiers of a contact, in canonical form.
fn identifiers_of(contact: &Contact) -> Vec<Identifier> {
    let text = |key| contact.attributes.text(key);
    // A value that fails its format check cannot be requested, so it is not an identifier.
    let mut found = contact.also_found_by.clone();
    found.extend(text("email").and_then(identifier::email));
    found.extend(text("mobilePhone").and_then(identifier::phone));
    found.extend(text("socialSecurityNumber").and_then(identifier::national_id));
    found.extend(text("memberNumber").map(|key| Identifier::MemberNumber(key.to_owned())));
    found.extend(text("externalId").map(|key| Identifier::ExternalId(key.to_owned())));
    found
}
