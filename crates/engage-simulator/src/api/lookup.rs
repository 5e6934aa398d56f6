//! Look-ups by identifier: `/contactoverview` and `/contacts/id`.

use jiff::Timestamp;

use super::{ApiRequest, render};
use crate::{
    answer::{Answer, ApiError},
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

impl ApiRequest<'_> {
    /// The overview, as of one overview lag ago.
    pub(super) fn overview(&self) -> Result<Answer, ApiError> {
        let time = self.world.overview_time(self.now);
        let (name, value) = self.identifier()?;
        let contact_type = self.contact_type(name != "contactId")?;
        let found = if name == "contactId" {
            let id = identifier::guid(value).ok_or(ApiError::InvalidContactId)?;
            let contact = self.world.as_of(&id, time).map(AsRef::as_ref);
            contact
                .filter(|contact| is_of_type(contact, contact_type))
                .ok_or(ApiError::ContactNotFound)?
        } else {
            self.find(name, value, contact_type, Some(time))?
        };
        Ok(render::overview(self, self.or_substitute(found), time))
    }

    /// The current contact id.
    pub(super) fn contact_id(&self) -> Result<Answer, ApiError> {
        let (name, value) = self.identifier()?;
        let contact_type = self.contact_type(false)?;
        let found = self.find(name, value, contact_type, None)?;
        let id = self.or_substitute(found).id.as_str();
        Ok(Answer::ok(&Json::from(id)))
    }

    /// The only identifier of the query. Several are refused: Engage's behaviour is unknown.
    fn identifier(&self) -> Result<(&str, &str), ApiError> {
        let mut given = self
            .query
            .iter()
            .filter(|(key, _)| IDENTIFIERS.contains(&key.as_str()));
        match (given.next(), given.next()) {
            (Some((name, value)), None) => Ok((name, value)),
            _ => Err(ApiError::InvalidSearchQuery),
        }
    }

    fn contact_type(&self, is_required: bool) -> Result<Option<&str>, ApiError> {
        match self.parameter("contactType") {
            Some(given) if self.world.knows_type(given) => Ok(Some(given)),
            None if !is_required => Ok(None),
            _ => Err(ApiError::InvalidContactType),
        }
    }

    fn find(
        &self,
        name: &str,
        value: &str,
        contact_type: Option<&str>,
        time: Option<Timestamp>,
    ) -> Result<&Contact, ApiError> {
        let identifier = self.canonical(name, value)?;
        let mut found = self.world.find(&identifier, time);
        found.retain(|contact| is_of_type(contact, contact_type));
        match found.as_slice() {
            [] => Err(ApiError::ContactNotFound),
            [one] => Ok(one),
            many => {
                let ids = many.iter().map(|contact| contact.id.clone()).collect();
                Err(ApiError::MultipleMatches(ids))
            }
        }
    }

    fn canonical(&self, name: &str, value: &str) -> Result<Identifier, ApiError> {
        let custom_key = self.world.settings.custom_key;
        match name {
            "email" => identifier::email(value).ok_or(ApiError::InvalidEmailAddress),
            "socialSecurityNumber" => {
                identifier::national_id(value).ok_or(ApiError::InvalidSocialSecurityNumber)
            }
            "mobilePhone" => identifier::phone(value).ok_or(ApiError::InvalidPhoneNumber),
            _ if value.trim().is_empty() => Err(ApiError::InvalidSearchQuery),
            "customKey" => identifier::custom_key(value, custom_key)
                .ok_or(ApiError::InvalidSystemConfiguration),
            _ => scan(value, custom_key).ok_or(ApiError::ContactNotFound),
        }
    }
}

/// `any`: the first kind whose format matches, even if no contact has the value.
fn scan(value: &str, custom_key: CustomKey) -> Option<Identifier> {
    identifier::email(value)
        .or_else(|| identifier::national_id(value))
        .or_else(|| identifier::phone(value))
        .or_else(|| identifier::custom_key(value, custom_key))
}

fn is_of_type(contact: &Contact, requested: Option<&str>) -> bool {
    requested
        .is_none_or(|requested| requested.to_lowercase() == contact.contact_type().to_lowercase())
}
