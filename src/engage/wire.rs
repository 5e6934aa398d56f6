//! Engage's JSON read into the domain's types: strict about ids, money and points, lenient about
//! everything that the tenant's configuration or Engage's next release may change.
//!
//! No complete v3 overview is documented, so the keys follow what real clients read, and each part
//! takes the first of the spellings that is present. A part whose key is missing was not told. What
//! can't be read is named by its path, never by its value.

mod bounds;
mod changes;
mod flag;
mod items;
mod mend;
mod profile;
mod time;
#[cfg(test)]
mod weights;

use jiff::tz::TimeZone;
use serde_json::value::RawValue;

pub use self::changes::Changes;
pub(in crate::engage) use self::{
    changes::{MAX_LIST, changes},
    mend::replace_lone_surrogates,
};
use super::Error;
use crate::{
    domain::{
        ContactId, Overview, Points, Profile, Promotions, Readable, Vouchers, aliases::AliasReader,
    },
    json::{self, Object},
};

/// Reads Engage's answers.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Brings identifiers into canonical form.
    pub alias_reader: AliasReader,
    /// The zone of times that name none.
    pub time_zone: TimeZone,
    /// Whether a view lists the national id: else only its digest is kept.
    pub keeps_national_id: bool,
    /// Whether the overview holds the points, as in API v2.
    pub points_in_overview: bool,
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// What it holds.
    pub items: T,
    /// How many items are before it, where Engage says so.
    pub offset: Option<usize>,
    /// How many items the page had, readable or not.
    pub count: usize,
    /// How many there are on all pages, where Engage says so.
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
    /// The answer of `/contactoverview`. A part that can't be read is left out, and named in a log
    /// event: the others are told.
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
            audiences: told("audiences", items::audiences(&answer)),
            promotions: told(
                "promotions",
                answer
                    .first(&["promotions", "availablePromotions"])
                    .map(|list| items::promotions(self, list))
                    .transpose(),
            )
            .flatten(),
            vouchers: told(
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
            points: points.and_then(|points| told("points", points).flatten()),
        })
    }

    /// The answer of `/contacts/id`: one JSON string.
    pub fn contact_id(body: &[u8]) -> Result<ContactId, Error> {
        let text: std::borrow::Cow<'_, str> =
            serde_json::from_slice(body).map_err(|_| Error::invalid("$"))?;
        ContactId::parse(&text).ok_or_else(|| Error::invalid("$"))
    }

    /// The answer of `/contacts/{id}`: whose it is, and the profile.
    pub fn contact(&self, body: &[u8]) -> Result<(ContactId, Readable<Profile>), Error> {
        let answer = Object::parse(body).ok_or_else(|| Error::invalid("$"))?;
        Ok((contact_id(&answer)?, self.profile_of(&answer)?))
    }

    /// The answer of `/contacts/{id}/promotions`: a bare array.
    pub fn promotions(&self, body: &[u8]) -> Result<Readable<Promotions>, Error> {
        items::promotions(self, raw(body)?)
    }

    /// A page of vouchers.
    pub fn vouchers(&self, body: &[u8]) -> Result<Page<Readable<Vouchers>>, Error> {
        items::page(raw(body)?)?.read(|list| items::vouchers(self, list))
    }

    /// The point accounts of a contact: a bare array in v3, a page in v2 and in one v3 variant.
    pub fn points(&self, id: ContactId, body: &[u8]) -> Result<Page<Readable<Points>>, Error> {
        items::page(raw(body)?)?.read(|list| items::points(self, id, list))
    }
}

/// Whom the answer is about. Two ids that differ are none.
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

fn told<T>(part: &'static str, read: Result<T, Error>) -> Option<T> {
    read.inspect_err(|error| tracing::warn!(part, %error, "a part of the overview can't be read"))
        .ok()
}
