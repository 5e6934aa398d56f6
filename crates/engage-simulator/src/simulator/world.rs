//! Reading and changing contacts through the handle.

use serde_json::Value;

use super::Simulator;
use crate::{
    api,
    clock::TimeFormat,
    contact::Contact,
    edit::{Change, ContactEditor, Edit, apply},
    json::Json,
    seed::guid,
    webhook::Event,
    world::{ChangeType, PointDefinition},
};

impl Simulator {
    /// Edits a contact.
    pub fn contact(&self, id: &str) -> ContactEditor {
        ContactEditor::new(self.clone(), id)
    }

    /// Creates a contact with these attributes and returns its id.
    pub fn create(&self, attributes: Value, contact_type: &str) -> String {
        self.create_from(attributes.into(), contact_type)
    }

    pub(crate) fn create_from(&self, attributes: Json, contact_type: &str) -> String {
        let now = self.clock().now();
        let mut world = self.world();
        let id = guid(&mut world.rng);
        let created = TimeFormat::Offset.write(now);
        let accepts = ["acceptsEmail", "acceptsPostal", "acceptsSms"].map(|p| (p, false.into()));
        let contact = Contact {
            id: id.clone(),
            attributes,
            meta: Json::object([
                ("createdOn", created.as_str().into()),
                ("modifiedOn", created.as_str().into()),
                ("sourceType", "API".into()),
                ("approved", true.into()),
                ("contactType", contact_type.into()),
                ("recruitedByStore", Json::Null),
            ]),
            preferences: Json::object(accepts),
            consents: Json::Array(Vec::new()),
            warnings: Json::Array(Vec::new()),
            audiences: Json::Array(Vec::new()),
            vouchers: Vec::new(),
            promotions: Vec::new(),
            accounts: Vec::new(),
            transactions: Vec::new(),
            purchases: Json::Null,
            extra: Vec::new(),
            also_found_by: Vec::new(),
        };
        world.store(now, contact);
        world.record_change(now, ChangeType::Created, &id);
        drop(world);
        self.emit(vec![Event::new("contact.created", &id, &[])]);
        id
    }

    /// Moves one contact's e-mail address to another contact.
    ///
    /// Both change at the same time. Panics if one of them does not exist.
    #[track_caller]
    pub fn move_email(&self, from_id: &str, to_id: &str) {
        if let Err(reason) = self.try_move_email(from_id, to_id) {
            panic!("cannot move the e-mail address: {reason}");
        }
    }

    pub(crate) fn try_move_email(&self, from_id: &str, to_id: &str) -> Result<(), String> {
        let now = self.clock().now();
        let mut world = self.world();
        let version = |id: &str| {
            let contact = world.current(&id.to_ascii_lowercase());
            contact.map(|contact| contact.as_ref().clone())
        };
        let mut from = version(from_id).ok_or_else(|| absent(from_id))?;
        let mut to = version(to_id).ok_or_else(|| absent(to_id))?;
        let email = from.attributes.get("email").cloned();
        let email = email.unwrap_or(Json::Null);
        let mut events = Vec::new();
        for (contact, email) in [(&mut from, Json::Null), (&mut to, email)] {
            let edit = Edit::Attribute("email".to_owned(), email);
            let change = apply(edit, contact, &mut world.rng, now)?;
            events.extend(change.events);
        }
        for contact in [from, to] {
            world.record_change(now, ChangeType::Updated, &contact.id);
            world.store(now, contact);
        }
        drop(world);
        self.emit(events);
        Ok(())
    }

    /// Adds a point definition, or renames it.
    pub fn define_points(&self, id: u32, name: &str) {
        let mut world = self.world();
        let description = match world.point_definitions.get(&id) {
            Some(known) => known.description.clone(),
            None => format!("Points {id}"),
        };
        let definition = PointDefinition {
            name: name.to_owned(),
            description,
        };
        world.point_definitions.insert(id, definition);
    }

    /// Removes a point definition; accounts of it stay. Returns whether there was one.
    pub fn remove_point_definition(&self, id: u32) -> bool {
        self.world().point_definitions.remove(&id).is_some()
    }

    /// The ids of all current contacts, the fixed ones first.
    pub fn contact_ids(&self) -> Vec<String> {
        self.world().ids()
    }

    /// All current data of a contact.
    ///
    /// An object with `id`, `attributes`, `meta`, `preferences`, `consents`, `warnings`, `audiences`, `vouchers`,
    /// `promotions`, `pointAccounts`, `pointTransactions` and `purchases`, with v3's keys, including redeemed and
    /// expired items.
    pub fn snapshot(&self, id: &str) -> Option<Value> {
        self.full_data(id).map(|full_data| full_data.to_value())
    }

    pub(crate) fn full_data(&self, id: &str) -> Option<Json> {
        let world = self.world();
        let contact = world.current(&id.to_ascii_lowercase())?;
        Some(api::full_data(contact))
    }

    /// Applies an edit and sends its events; the error is a message.
    pub(crate) fn edit(&self, id: &str, edit: Edit) -> Result<(), String> {
        let now = self.clock().now();
        let mut world = self.world();
        let current = world.current(id).ok_or_else(|| absent(id))?;
        let events = if matches!(edit, Edit::Delete) {
            world.remove(now, id);
            world.record_change(now, ChangeType::Deleted, id);
            vec![Event::new("contact.deleted", id, &[])]
        } else {
            let mut contact = current.as_ref().clone();
            let Change { events, is_update } = apply(edit, &mut contact, &mut world.rng, now)?;
            world.store(now, contact);
            if is_update {
                world.record_change(now, ChangeType::Updated, id);
            }
            events
        };
        drop(world);
        self.emit(events);
        Ok(())
    }

    pub(crate) fn event_about(&self, event: &str, id: &str) -> Event {
        let now = TimeFormat::Offset.write(self.clock().now());
        let world = self.world();
        let contact = world.current(id).map(AsRef::as_ref);
        Event::about(event, id, contact, &now)
    }
}

fn absent(id: &str) -> String {
    format!("no contact {id}")
}
