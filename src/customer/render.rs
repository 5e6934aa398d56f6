//! Renders the customer as JSON: a pure function of the parts, the rules, the shape and the time.
//!
//! Every key is always present; absent values are `null` or an empty list; amounts of money are exact. Vouchers and
//! promotions that have been redeemed or have expired by the time of rendering are left out, even from stale records; a
//! requested history has redeemed vouchers. The next moment at which a byte outside the history would change is
//! returned with the bytes.

mod current;
mod guest;
mod history;
mod json;
mod person;
#[cfg(test)]
pub(crate) mod schemas;
mod time;

use jiff::Timestamp;

use self::{
    current::{Current, Moments},
    json::{AnswerJson, FreshnessJson, OfferJson, PointsJson, PromotionJson, VoucherJson},
    person::{
        AddressJson, AttributesJson, AudienceJson, ConsentJson, ContactabilityJson, LevelJson,
        PreferencesJson, ProfileJson, StoreJson,
    },
};
pub(super) use self::{guest::guest, history::HistoryContent};
use super::{
    contactability::Contactability,
    view::{Attributes, Rules, Shape, View},
};
use crate::{
    cache::parts::{Entry, Origins, Parts},
    domain::{
        Audiences, ContactId, Decimal, HistoryPart, Part, PartSet, Points, Profile, Promotion,
    },
};

/// The initial capacity of a response, in bytes; few need more.
const USUAL_SIZE: usize = 4096;

/// What an answer is rendered from.
pub(super) struct Content<'a> {
    /// The contact.
    pub(super) id: ContactId,
    /// Its parts.
    pub(super) parts: &'a Parts,
    /// The parts that may be shown.
    pub(super) shown: PartSet,
    /// The parts that are named in `degraded`.
    pub(super) degraded: PartSet,
    /// The contact's history, if it was requested.
    pub(super) history: Option<&'a HistoryContent>,
}

impl Content<'_> {
    /// The data of the part, if it may be shown.
    fn shown<'a, T>(&self, part: Part, entry: Option<&'a Entry<T>>) -> Option<&'a T> {
        entry
            .filter(|_| self.shown.contains(part))
            .map(|entry| &*entry.data)
    }
}

/// A rendered body.
pub(super) struct Body {
    /// The JSON.
    pub(super) json: Vec<u8>,
    /// The length of the first part of the body, which contains everything but `freshness`.
    pub(super) without_freshness: usize,
    /// The moment from which on it is no longer right.
    pub(super) changes_at: Timestamp,
}

/// Renders the customer.
pub(super) fn render(rules: &Rules, shape: &Shape, content: &Content<'_>, now: Timestamp) -> Body {
    let mut moments = Moments::new(now, shape.expiring_within);
    let answer = answer_json(rules, shape, content, &mut moments);
    let mut json = Vec::with_capacity(USUAL_SIZE);
    serde_json::to_writer(&mut json, &answer).expect("the answer's types have a JSON form");
    json.pop();
    let without_freshness = json.len();
    json.extend_from_slice(b",\"freshness\":");
    serde_json::to_writer(&mut json, &freshness(content)).expect("times have a JSON form");
    json.push(b'}');
    Body {
        json,
        without_freshness,
        changes_at: moments.changes_at(),
    }
}

fn answer_json<'a>(
    rules: &'a Rules,
    shape: &Shape,
    content: &Content<'a>,
    moments: &mut Moments,
) -> AnswerJson<'a> {
    // Without `..`, so that a new part can't be forgotten here.
    let Parts {
        profile,
        audiences,
        promotions,
        vouchers,
        points,
    } = content.parts;
    let profile = profile.as_ref().map(|entry| &*entry.data);
    let is_protected =
        profile.is_some_and(|profile| profile.secrecy_marked) && shape.view == View::Storefront;
    let attributes = match shape.view {
        View::Storefront => &rules.storefront,
        View::Full => &rules.full,
    };
    let audiences = content.shown(Part::Audiences, audiences.as_ref());
    let points = content.shown(Part::Points, points.as_ref());
    let vouchers = content.shown(Part::Vouchers, vouchers.as_ref());
    let promotions = content.shown(Part::Promotions, promotions.as_ref());
    let current = Current {
        vouchers: vouchers.map(|all| current::vouchers(all, moments)),
        promotions: promotions.map(|all| current::promotions(all, shape.channel, moments)),
        points,
    };
    AnswerJson {
        contact_id: content.id,
        contact_type: profile.and_then(contact_type),
        profile: profile.map(|profile| profile_json(profile, attributes, is_protected, moments)),
        contactability: profile
            .filter(|_| !is_protected)
            .map(|profile| contactability_json(profile, audiences, rules)),
        preferences: profile.map(|profile| PreferencesJson::from(&profile.preferences)),
        consents: profile.and_then(consents_json),
        audiences: audiences.map(|known| known.audiences.iter().map(AudienceJson::from).collect()),
        points: points.map(|points| {
            let is_incomplete = content.parts.incomplete().contains(Part::Points);
            PointsJson::of(points, balance(points, is_incomplete, rules))
        }),
        expiring_soon: current.expiring_soon(moments),
        vouchers: current
            .vouchers
            .map(|vouchers| vouchers.into_iter().map(VoucherJson::from).collect()),
        promotions: current.promotions.map(|promotions| {
            let json = |promotion| promotion_json(promotion, shape);
            promotions.into_iter().map(json).collect()
        }),
        point_transactions: content
            .history
            .and_then(|history| history.point_transactions(moments.now())),
        redeemed_vouchers: content.history.and_then(HistoryContent::redeemed_vouchers),
        purchases: content.history.and_then(HistoryContent::purchases),
        degraded: degraded(content),
    }
}

fn contact_type(profile: &Profile) -> Option<&str> {
    Some(profile.identity.contact_type.only()?.as_str())
}

fn consents_json(profile: &Profile) -> Option<Vec<ConsentJson<'_>>> {
    let consents = profile.consents.as_ref()?;
    Some(consents.iter().map(ConsentJson::from).collect())
}

/// `is_protected`: the contact's identity is protected, and the view is the storefront's.
fn profile_json<'a>(
    profile: &'a Profile,
    attributes: &'a Attributes,
    is_protected: bool,
    moments: &mut Moments,
) -> ProfileJson<'a> {
    let level = profile.level.as_ref();
    let level = level.filter(|level| moments.is_current(level.expires_on));
    let home_store = profile.home_store.as_ref().filter(|_| !is_protected);
    ProfileJson {
        protected: profile.secrecy_marked,
        first_name: profile.first_name.as_deref(),
        last_name: profile.last_name.as_deref(),
        email: profile.email.as_deref().filter(|_| !is_protected),
        mobile_phone: profile.mobile_phone.as_deref().filter(|_| !is_protected),
        address: (!is_protected).then(|| AddressJson::from(&profile.address)),
        birth_day: profile.birth_day.as_deref(),
        language: profile.language.as_deref(),
        member_number: profile.member_number.as_deref(),
        level: level.map(LevelJson::from),
        home_store: home_store.map(StoreJson::from),
        member_since: profile.member_since.map(time::rfc_3339),
        attributes: AttributesJson {
            attributes: &profile.attributes,
            allowed: attributes,
            is_protected,
        },
    }
}

fn contactability_json<'a>(
    profile: &'a Profile,
    audiences: Option<&'a Audiences>,
    rules: &Rules,
) -> ContactabilityJson<'a> {
    let known = Contactability::of(profile, audiences, rules.phone_region);
    ContactabilityJson::of(profile, &known)
}

fn promotion_json<'a>(promotion: &'a Promotion, shape: &Shape) -> PromotionJson<'a> {
    let offers = promotion
        .offers
        .iter()
        .filter(|offer| shape.channel.is_none() || offer.channel == shape.channel)
        .map(OfferJson::from)
        .collect();
    PromotionJson::of(promotion, offers)
}

/// The balance of the configured definition, else of the only account. Balances of different definitions are never
/// summed [Voyado: more than one definition is allowed]. If the points are incomplete, there may be further accounts,
/// so none counts as the only one.
fn balance(points: &Points, is_incomplete: bool, rules: &Rules) -> Option<Decimal> {
    let of_default = points.accounts.iter().find(|account| {
        account.definition_id.is_some() && account.definition_id == rules.default_point_definition
    });
    match (of_default, &points.accounts[..]) {
        (Some(account), _) => Some(account.balance),
        (None, [account]) if !is_incomplete => Some(account.balance),
        _ => None,
    }
}

fn freshness(content: &Content<'_>) -> FreshnessJson {
    let of_part = |part| {
        let provenance = content.parts.provenance(part)?;
        let is_shown = content.shown.contains(part);
        is_shown.then(|| time::rfc_3339(provenance.as_of))
    };
    FreshnessJson::of(of_part, |part| content.history?.as_of(part))
}

fn degraded(content: &Content<'_>) -> Vec<&'static str> {
    let history = content.history.map(|history| history.degraded);
    let history = history.unwrap_or_default();
    let parts = content.degraded.iter().map(Part::as_str);
    parts
        .chain(history.iter().map(HistoryPart::as_str))
        .collect()
}
