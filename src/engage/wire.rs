//! Parses Engage's JSON into domain types: strict about ids, money and points, lenient about everything that a tenant's
//! configuration or a new release of Engage may change.
//!
//! No complete v3 overview is documented, so the keys are those that real clients read, and each part uses the first
//! spelling that is present. If the key of promotions, vouchers or points is missing, that part is absent; without a
//! key for audiences there are none, and without `attributes` the response is invalid. Unreadable values are reported
//! by path, never by value.

mod bounds;
mod changes;
mod definitions;
mod flag;
mod history;
mod items;
mod profile;
mod surrogates;
mod time;

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

pub use self::changes::Changes;
pub(in crate::engage) use self::{
    changes::{MAX_LIST, changes},
    definitions::{MAX_DEFINITIONS, PointDefinition},
    surrogates::replace_lone_surrogates,
};
use super::error::Error;
use crate::{
    domain::{
        ContactId, Overview, Partial, Points, Profile, Promotions, Vouchers, aliases::AliasReader,
    },
    json::{self, Object},
};

/// Parser of Engage's responses.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Parses identifiers into canonical form.
    pub alias_reader: AliasReader,
    /// The zone of times without one.
    pub time_zone: TimeZone,
    /// Whether a view contains the national id. If not, only its digest is kept.
    pub keeps_national_id: bool,
    /// Whether the overview contains points, as in API v2.
    pub points_in_overview: bool,
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The parsed items.
    pub items: T,
    /// Number of items before the page, if sent.
    pub offset: Option<usize>,
    /// Number of items on the page, readable or not.
    pub count: usize,
    /// Number of items on all pages, if sent.
    pub total: Option<usize>,
}

impl Page<&RawValue> {
    fn read<T>(self, read: impl FnOnce(&RawValue) -> Result<T, Error>) -> Result<Page<T>, Error> {
        Ok(Page {
            items: read(self.items)?,
            offset: self.offset,
            count: self.count,
            total: self.total,
        })
    }
}

impl Reader {
    /// Parses `/contactoverview`. An unreadable part is left out and logged, and the others are returned; an unreadable
    /// contact id or profile is an error.
    pub fn overview(&self, body: &[u8]) -> Result<Overview, Error> {
        let answer = Object::parse(body).ok_or_else(|| Error::invalid("$"))?;
        let id = contact_id(&answer)?;
        let profile = self.profile_of(&answer)?;
        let points = self
            .points_in_overview
            .then(|| items::overview_points(&answer));
        Ok(Overview {
            id,
            profile,
            audiences: readable_part("audiences", items::audiences(&answer)),
            promotions: readable_part(
                "promotions",
                answer
                    .first(&["promotions", "availablePromotions"])
                    .map(|list| items::promotions(self, list))
                    .transpose(),
            )
            .flatten(),
            vouchers: readable_part(
                "vouchers",
                answer
                    .first(&[
                        "bonusChecks",
                        "rewardVouchers",
                        "availableRewardVouchers",
                        "availableBonusChecks",
                    ])
                    .map(|list| items::vouchers(self, list))
                    .transpose(),
            )
            .flatten(),
            points: points.and_then(|points| readable_part("points", points).flatten()),
        })
    }

    /// Parses `/contacts/id`: one JSON string.
    pub fn contact_id(body: &[u8]) -> Result<ContactId, Error> {
        let text: std::borrow::Cow<'_, str> =
            serde_json::from_slice(body).map_err(|_| Error::invalid("$"))?;
        ContactId::parse(&text).ok_or_else(|| Error::invalid("$"))
    }

    /// Parses `/contacts/{id}`: contact id and profile.
    pub fn contact(&self, body: &[u8]) -> Result<(ContactId, Partial<Profile>), Error> {
        let answer = Object::parse(body).ok_or_else(|| Error::invalid("$"))?;
        Ok((contact_id(&answer)?, self.profile_of(&answer)?))
    }

    /// Parses `/contacts/{id}/promotions`: a bare array.
    pub fn promotions(&self, body: &[u8]) -> Result<Partial<Promotions>, Error> {
        items::promotions(self, raw(body)?)
    }

    /// Parses a page of vouchers.
    pub fn vouchers(&self, body: &[u8]) -> Result<Page<Partial<Vouchers>>, Error> {
        items::page(raw(body)?)?.read(|list| items::vouchers(self, list))
    }

    /// Parses the point accounts of a contact: a bare array in v3, a page in v2 and in one v3 variant.
    pub fn points(&self, id: ContactId, body: &[u8]) -> Result<Page<Partial<Points>>, Error> {
        items::page(raw(body)?)?.read(|list| items::points(self, id, list))
    }

    /// Parses the point definitions: a bare array [Voyado: SDK of v2], or a page like those of other lists.
    pub(in crate::engage) fn point_definitions(
        body: &[u8],
    ) -> Result<Page<Partial<Vec<PointDefinition>>>, Error> {
        items::page(raw(body)?)?.read(definitions::definitions)
    }
}

/// The contact that the response is about. Contradictory ids are an error.
fn contact_id(answer: &Object<'_>) -> Result<ContactId, Error> {
    let mut ids = answer
        .0
        .iter()
        .filter(|(key, _)| key == "id")
        .map(|(_, id)| ContactId::parse(&json::text(id)?));
    let id = ids.next().flatten();
    id.filter(|id| ids.all(|other| other == Some(*id)))
        .ok_or_else(|| Error::invalid("id"))
}

fn raw(body: &[u8]) -> Result<&RawValue, Error> {
    serde_json::from_slice(body).map_err(|_| Error::invalid("$"))
}

fn readable_part<T>(part: &'static str, read: Result<T, Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(part, %error, "overview part unreadable"))
        .ok()
}
