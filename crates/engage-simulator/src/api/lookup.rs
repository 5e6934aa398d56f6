//! Finding a contact by an identifier: `/contactoverview` and `/contacts/id`.

use jiff::Timestamp;

use super::{Question, render};
use crate::{
    answer::{Answer, Refusal},
    contact::Contact,
    identifier::{self, Identifier},
    json::Json,
    settings::CustomKey,
};

const IDENTIFIERS: [&str; 6] = [
    "contactId",
    "email",
    "socialSecurityNumber",
    "mobilePhone",
    "customKey",
    "any",
];

impl Question<'_> {
    /// The whole profile, as the world was one overview lag ago.
    pub(super) fn overview(&self) -> Result<Answer, Refusal> {
        let time = self.world.overview_time(self.now);
        let (name, value) = self.identifier()?;
        let contact_type = self.contact_type(name != "contactId")?;
        let found = if name == "contactId" {
            let id = identifier::guid(value).ok_or(Refusal::InvalidContactId)?;
            let contact = self.world.as_of(&id, time).map(AsRef::as_ref);
            contact
                .filter(|contact| is_of_type(contact, contact_type))
                .ok_or(Refusal::ContactNotFound)?
        } else {
            self.find(name, value, contact_type, Some(time))?
        };
        Ok(render::overview(self, self.or_impostor(found), time))
    }

    /// The id alone, as the world is now.
    pub(super) fn contact_id(&self) -> Result<Answer, Refusal> {
        let (name, value) = self.identifier()?;
        let contact_type = self.contact_type(false)?;
        let found = self.find(name, value, contact_type, None)?;
        let id = self.or_impostor(found).id.as_str();
        Ok(Answer::ok(&Json::from(id)))
    }

    /// The one identifier of the query. Engage's treatment of several is unknown: refused.
    fn identifier(&self) -> Result<(&str, &str), Refusal> {
        let mut given = self
            .query
            .iter()
            .filter(|(key, _)| IDENTIFIERS.contains(&key.as_str()));
        match (given.next(), given.next()) {
            (Some((name, value)), None) => Ok((name, value)),
            _ => Err(Refusal::InvalidSearchQuery),
        }
    }

    fn contact_type(&self, is_required: bool) -> Result<Option<&str>, Refusal> {
        match self.parameter("contactType") {
            Some(given) if self.world.knows_type(given) => Ok(Some(given)),
            None if !is_required => Ok(None),
            _ => Err(Refusal::InvalidContactType),
        }
    }

    fn find(
        &self,
        name: &str,
        value: &str,
        contact_type: Option<&str>,
        time: Option<Timestamp>,
    ) -> Result<&Contact, Refusal> {
        let identifier = self.canonical(name, value)?;
        let mut found = self.world.bearers(&identifier, time);
        found.retain(|contact| is_of_type(contact, contact_type));
        match found.as_slice() {
            [] => Err(Refusal::ContactNotFound),
            [one] => Ok(one),
            many => {
                let ids = many.iter().map(|contact| contact.id.clone()).collect();
                Err(Refusal::MultipleMatches(ids))
            }
        }
    }

    fn canonical(&self, name: &str, value: &str) -> Result<Identifier, Refusal> {
        let custom_key = self.world.settings.custom_key;
        match name {
            "email" => identifier::email(value).ok_or(Refusal::InvalidEmailAddress),
            "socialSecurityNumber" => {
                identifier::national_id(value).ok_or(Refusal::InvalidSocialSecurityNumber)
            }
            "mobilePhone" => identifier::phone(value).ok_or(Refusal::InvalidPhoneNumber),
            _ if value.trim().is_empty() => Err(Refusal::InvalidSearchQuery),
            "customKey" => {
                identifier::custom_key(value, custom_key).ok_or(Refusal::InvalidSystemConfiguration)
            }
            _ => scan(value, custom_key).ok_or(Refusal::ContactNotFound),
        }
    }
}

/// `any`: the first attribute whose format check the value passes, even if nobody bears it.
fn scan(value: &str, custom_key: CustomKey) -> Option<Identifier> {
    identifier::email(value)
        .or_else(|| identifier::national_id(value))
        .or_else(|| identifier::phone(value))
        .or_else(|| identifier::custom_key(value, custom_key))
}

fn is_of_type(contact: &Contact, asked: Option<&str>) -> bool {
    asked.is_none_or(|asked| asked.to_lowercase() == contact.contact_type().to_lowercase())
}
