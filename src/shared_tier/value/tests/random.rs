//! Random parts of contacts.

use std::time::Duration;

use jiff::Timestamp;
use proptest::{collection::vec, option, prelude::*};
use serde_json::value::RawValue;

use super::contacts::{entry, profile, promotion, voucher};
use crate::{
    cache::{
        freshness::FetchSource,
        parts::{Entry, Parts},
    },
    domain::{
        Audience, Audiences, Consent, Decimal, Identity, Money, OfferValue, PointAccount, Points,
        Profile, Promotion, Voucher, Warning,
    },
};

/// Random parts, each of which may be absent.
pub(super) fn parts() -> impl Strategy<Value = Parts> {
    (
        some(random_profile()),
        some(random_audiences()),
        some(vec(random_promotion(), 0..4)),
        some(vec(random_voucher(), 0..4)),
        some(random_points()),
    )
        .prop_map(|(profile, audiences, promotions, vouchers, points)| Parts {
            profile,
            audiences,
            promotions,
            vouchers,
            points,
        })
}

fn some<T: std::fmt::Debug>(
    data: impl Strategy<Value = T>,
) -> impl Strategy<Value = Option<Entry<T>>> {
    let source = prop_oneof![Just(FetchSource::Overview), Just(FetchSource::Entity)];
    let before = option::of((0_u64..2_000_000).prop_map(Duration::from_millis));
    let one =
        (data, source, before, any::<bool>()).prop_map(|(data, source, before, incomplete)| {
            Entry {
                incomplete,
                ..entry(data, source, before)
            }
        });
    option::weighted(0.8, one)
}

fn words() -> impl Strategy<Value = Box<str>> {
    ".{0,24}".prop_map(Into::into)
}

fn amount() -> impl Strategy<Value = Decimal> {
    (any::<i64>(), 0_u32..=28).prop_map(|(number, scale)| Decimal::new(number, scale))
}

fn moment() -> impl Strategy<Value = Option<Timestamp>> {
    let moment = (-10_000_000_000_i64..10_000_000_000, 0..1_000_000_000);
    option::of(
        moment.prop_map(|(seconds, nanoseconds)| {
            Timestamp::new(seconds, nanoseconds).expect("a time")
        }),
    )
}

fn random_money() -> impl Strategy<Value = Money> {
    (amount(), words()).prop_map(|(amount, currency)| Money { amount, currency })
}

fn random_profile() -> impl Strategy<Value = Profile> {
    let attribute = (words(), words()).prop_map(|(key, value)| {
        let json = serde_json::to_string(&value).expect("a text");
        (key, RawValue::from_string(json).expect("JSON"))
    });
    (
        (
            option::of(words()),
            option::of(words()),
            option::of(words()),
        ),
        vec(attribute, 0..4),
        (any::<bool>(), any::<bool>(), moment()),
        option::of(option::of(any::<bool>())),
    )
        .prop_map(
            |((first_name, email, city), attributes, (marked, known, since), given)| {
                let mut random = profile();
                random.first_name = first_name;
                random.email = email;
                random.address.city = city;
                random.attributes = attributes;
                random.secrecy_marked = marked;
                random.member_since = since;
                if !known {
                    random.identity = Identity::default();
                    random.level = None;
                    random.home_store = None;
                }
                random.consents = given.map(|given| {
                    vec![Consent {
                        id: "profiling".into(),
                        given,
                        date: since,
                    }]
                });
                random
            },
        )
}

fn random_audiences() -> impl Strategy<Value = Audiences> {
    let audience = (words(), option::of(words())).prop_map(|(id, name)| Audience { id, name });
    let warning = (option::of(words()), option::of(words()))
        .prop_map(|(id, message)| Warning { id, message });
    (vec(audience, 0..5), vec(warning, 0..3)).prop_map(|(audiences, warnings)| Audiences {
        audiences,
        warnings,
    })
}

fn random_promotion() -> impl Strategy<Value = Promotion> {
    let offer = (0..6_usize, words(), amount()).prop_map(|(kind, text, number)| {
        let mut offers = promotion().offers;
        let mut offer = offers.swap_remove(kind % offers.len());
        match &mut offer.value {
            OfferValue::Text(value) => *value = text,
            OfferValue::Number(value) => *value = number,
            OfferValue::Money(value) => value.amount = number,
            OfferValue::None => offer.instruction = Some(text),
        }
        offer
    });
    let texts = [
        option::of(words()),
        option::of(words()),
        option::of(words()),
    ];
    (words(), texts, vec(offer, 0..4), moment()).prop_map(
        |(id, [heading, external_id, promotion_type], offers, expires_on)| Promotion {
            id,
            external_id,
            promotion_type,
            heading,
            expires_on,
            offers,
            ..promotion()
        },
    )
}

fn random_voucher() -> impl Strategy<Value = Voucher> {
    (
        words(),
        option::of(words()),
        option::of(random_money()),
        vec(random_money(), 0..3),
        any::<bool>(),
    )
        .prop_map(|(id, code, value, local_values, redeemed)| Voucher {
            id,
            code,
            value,
            local_values,
            redeemed,
            ..voucher()
        })
}

fn random_points() -> impl Strategy<Value = Points> {
    let account = (
        option::of(words()),
        option::of(words()),
        amount(),
        option::of(amount()),
        moment(),
    )
        .prop_map(
            |(definition_id, name, balance, pending, expires_on)| PointAccount {
                definition_id,
                name,
                balance,
                pending,
                expires_on,
            },
        );
    vec(account, 0..4).prop_map(|accounts| Points { accounts })
}
