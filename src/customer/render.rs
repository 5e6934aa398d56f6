//! The customer answer as JSON: every key always there, absent knowledge `null` or an empty list,
//! money exact. What has been redeemed or has lapsed is left out at the moment of rendering, also
//! from cached and stale records; the next moment at which a byte would change is told beside the
//! bytes.

mod json;
mod person;

use std::time::Duration;

use jiff::Timestamp;

use self::{
    json::{
        AnswerJson, ExpiringJson, FreshnessJson, MoneyJson, OfferJson, PointsJson, PromotionJson,
        VoucherJson,
    },
    person::{
        AddressJson, AttributesJson, AudienceJson, ConsentJson, ContactabilityJson, LevelJson,
        PreferencesJson, ProfileJson, StoreJson,
    },
};
use super::{
    Found, Shape,
    answer::{Attributes, Rules, View, before},
    contactability::Contactability,
};
use crate::{
    cache::parts::{Entry, Origins, Parts},
    domain::{Decimal, Level, Part, PartSet, Points, Profile, Promotion, Voucher},
};

/// The room that an answer is written into; few need more.
const USUAL_SIZE: usize = 4096;

/// The JSON, and the moment at which it would read otherwise.
pub(super) fn render(
    rules: &Rules,
    parts: &Parts,
    found: &Found,
    shape: &Shape,
    now: Timestamp,
) -> (Vec<u8>, Timestamp) {
    let mut moments = Moments {
        now,
        window: shape.expiring_within,
        changes_at: Timestamp::MAX,
    };
    let profile = parts.profile.as_ref().map(|entry| &*entry.data);
    let audiences = shown(parts.audiences.as_ref(), Part::Audiences, found);
    let vouchers = shown(parts.vouchers.as_ref(), Part::Vouchers, found)
        .map(|vouchers| current_vouchers(vouchers, &mut moments));
    let promotions = shown(parts.promotions.as_ref(), Part::Promotions, found)
        .map(|promotions| current_promotions(promotions, shape, &mut moments));
    let points = shown(parts.points.as_ref(), Part::Points, found);
    let expiring_soon = expiring_soon(
        vouchers.as_deref(),
        promotions.as_deref(),
        points,
        &mut moments,
    );
    let guarded =
        profile.is_some_and(|profile| profile.secrecy_marked) && shape.view == View::Storefront;
    let attributes = match shape.view {
        View::Storefront => &rules.storefront,
        View::Full => &rules.full,
    };
    let contactability = profile.filter(|_| !guarded).map(|profile| {
        (
            profile,
            Contactability::of(profile, audiences, rules.phone_region),
        )
    });
    let answer = AnswerJson {
        contact_id: found.record.id,
        contact_type: profile
            .and_then(|profile| Some(profile.identity.contact_type.only()?.as_str())),
        profile: profile.map(|profile| {
            let level = profile.level.as_ref();
            let level = level.filter(|level| moments.is_current(level.expires_on));
            profile_json(profile, level, attributes, guarded)
        }),
        contactability: contactability
            .as_ref()
            .map(|(profile, known)| ContactabilityJson::of(profile, known)),
        preferences: profile.map(|profile| PreferencesJson::from(&profile.preferences)),
        consents: profile
            .and_then(|profile| profile.consents.as_ref())
            .map(|consents| consents.iter().map(ConsentJson::from).collect()),
        audiences: audiences.map(|known| known.audiences.iter().map(AudienceJson::from).collect()),
        points: points.map(|points| {
            let incomplete = parts.incomplete().contains(Part::Points);
            PointsJson::of(points, balance(points, incomplete, rules))
        }),
        vouchers: vouchers.map(|vouchers| vouchers.into_iter().map(VoucherJson::from).collect()),
        promotions: promotions.map(|promotions| {
            promotions
                .into_iter()
                .map(|promotion| promotion_json(promotion, shape))
                .collect()
        }),
        expiring_soon,
        freshness: freshness(parts, found.shown),
        degraded: found.degraded.iter().map(Part::as_str).collect(),
    };
    let mut body = Vec::with_capacity(USUAL_SIZE);
    serde_json::to_writer(&mut body, &answer).expect("the answer's types have a JSON form");
    (body, moments.changes_at)
}

/// What is held of the part, if it may be shown.
fn shown<'a, T>(entry: Option<&'a Entry<T>>, part: Part, found: &Found) -> Option<&'a T> {
    entry
        .filter(|_| found.shown.contains(part))
        .map(|entry| &*entry.data)
}

/// What time does to an answer.
struct Moments {
    now: Timestamp,
    window: Duration,
    changes_at: Timestamp,
}

impl Moments {
    /// Whether something with that end is still good; notes when it ends to be.
    fn is_current(&mut self, expires_on: Option<Timestamp>) -> bool {
        let Some(expires_on) = expires_on else {
            return true;
        };
        if expires_on <= self.now {
            return false;
        }
        self.changes_at = self.changes_at.min(expires_on);
        true
    }

    /// Whether something that is current ends within the window; notes when it will.
    fn ends_soon(&mut self, expires_on: Timestamp) -> bool {
        let enters = before(expires_on, self.window);
        if enters <= self.now {
            return true;
        }
        self.changes_at = self.changes_at.min(enters);
        false
    }
}

fn current_vouchers<'a>(vouchers: &'a [Voucher], moments: &mut Moments) -> Vec<&'a Voucher> {
    vouchers
        .iter()
        .filter(|voucher| !voucher.redeemed && moments.is_current(voucher.expires_on))
        .collect()
}

/// Promotions that can be used in the channel: one left without offers there is left out.
fn current_promotions<'a>(
    promotions: &'a [Promotion],
    shape: &Shape,
    moments: &mut Moments,
) -> Vec<&'a Promotion> {
    let in_channel = |promotion: &Promotion| match shape.channel {
        None => true,
        Some(channel) => promotion
            .offers
            .iter()
            .any(|offer| offer.channel == Some(channel)),
    };
    promotions
        .iter()
        .filter(|promotion| {
            !promotion.redeemed && in_channel(promotion) && moments.is_current(promotion.expires_on)
        })
        .collect()
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

/// What lapses within the window, soonest first.
fn expiring_soon<'a>(
    vouchers: Option<&[&'a Voucher]>,
    promotions: Option<&[&'a Promotion]>,
    points: Option<&'a Points>,
    moments: &mut Moments,
) -> Vec<ExpiringJson<'a>> {
    let mut soon: Vec<(Timestamp, ExpiringJson<'a>)> = Vec::new();
    let mut add =
        |expires_on: Option<Timestamp>, kind, id: Option<&'a str>, name: Option<&'a str>| {
            if let Some(expires_on) = expires_on
                && moments.is_current(Some(expires_on))
                && moments.ends_soon(expires_on)
            {
                soon.push((expires_on, ExpiringJson::of(kind, id, name, expires_on)));
            }
        };
    for voucher in vouchers.unwrap_or_default() {
        add(
            voucher.expires_on,
            "voucher",
            Some(&voucher.id),
            voucher.name.as_deref(),
        );
    }
    for promotion in promotions.unwrap_or_default() {
        let name = promotion.heading.as_deref().or(promotion.name.as_deref());
        add(promotion.expires_on, "promotion", Some(&promotion.id), name);
    }
    for account in points.map_or(&[][..], |points| &points.accounts) {
        if account.balance > Decimal::ZERO {
            add(
                account.expires_on,
                "points",
                account.definition_id.as_deref(),
                None,
            );
        }
    }
    soon.sort_by_key(|(expires_on, _)| *expires_on);
    soon.into_iter().map(|(_, entry)| entry).collect()
}

/// The balance of the configured definition, else of the only account: balances of different
/// definitions are never summed [Voyado: more than one definition is allowed]. Of incomplete points, the only one may not
/// be the only one.
fn balance(points: &Points, incomplete: bool, rules: &Rules) -> Option<Decimal> {
    let of_default = points.accounts.iter().find(|account| {
        account.definition_id.is_some() && account.definition_id == rules.default_point_definition
    });
    match (of_default, &points.accounts[..]) {
        (Some(account), _) => Some(account.balance),
        (None, [account]) if !incomplete => Some(account.balance),
        _ => None,
    }
}

fn profile_json<'a>(
    profile: &'a Profile,
    level: Option<&'a Level>,
    attributes: &'a Attributes,
    guarded: bool,
) -> ProfileJson<'a> {
    ProfileJson {
        first_name: profile.first_name.as_deref(),
        last_name: profile.last_name.as_deref(),
        email: profile.email.as_deref().filter(|_| !guarded),
        mobile_phone: profile.mobile_phone.as_deref().filter(|_| !guarded),
        address: (!guarded).then(|| AddressJson::from(&profile.address)),
        birth_day: profile.birth_day.as_deref(),
        language: profile.language.as_deref(),
        member_number: profile.member_number.as_deref(),
        level: level.map(LevelJson::from),
        home_store: profile
            .home_store
            .as_ref()
            .filter(|_| !guarded)
            .map(StoreJson::from),
        member_since: profile.member_since.map(json::time),
        attributes: AttributesJson {
            attributes: &profile.attributes,
            allowed: attributes,
            guarded,
        },
    }
}

fn freshness(parts: &Parts, shown: PartSet) -> FreshnessJson {
    let of = |part| {
        parts
            .provenance(part)
            .filter(|_| shown.contains(part))
            .map(|provenance| json::time(provenance.as_of))
    };
    FreshnessJson::of(of)
}

impl<'a> From<&'a crate::domain::Money> for MoneyJson<'a> {
    fn from(money: &'a crate::domain::Money) -> Self {
        Self {
            amount: money.amount,
            currency: &money.currency,
        }
    }
}
