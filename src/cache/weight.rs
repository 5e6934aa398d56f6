//! What the parts weigh: their size in memory, followed through every allocation they own.

use super::Weigh;
use crate::domain::{
    Audiences, ContactType, FieldValue, HomeStore, Identity, Money, Offer, OfferValue, Points,
    Profile, Promotions, Vouchers, phone::PhoneReading,
};

/// What the allocator adds to each allocation: glibc's header and rounding, on average.
const ALLOCATION: usize = 16;

fn text(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.len() + ALLOCATION)
}

fn money(values: &[Money]) -> usize {
    values
        .iter()
        .map(|value| size_of::<Money>() + text(Some(&value.currency)))
        .sum()
}

impl Weigh for Profile {
    fn bytes(&self) -> usize {
        let address = &self.address;
        let texts = [
            &self.first_name,
            &self.last_name,
            &self.email,
            &self.mobile_phone,
            &self.birth_day,
            &self.language,
            &self.member_number,
            &address.street,
            &address.care_of,
            &address.zip_code,
            &address.city,
            &address.country_code,
        ];
        let texts: usize = texts.into_iter().map(|value| text(value.as_deref())).sum();
        let store = |store: &HomeStore| {
            text(store.id.as_deref())
                + text(store.name.as_deref())
                + text(store.external_id.as_deref())
        };
        let attributes: usize = self
            .attributes
            .iter()
            .map(|(key, value)| 32 + text(Some(key)) + text(Some(value.get())))
            .sum();
        let consents: usize = self
            .consents
            .iter()
            .flatten()
            .map(|consent| 48 + text(Some(&consent.id)))
            .sum();
        size_of::<Self>()
            + ALLOCATION
            + texts
            + self.identity.bytes()
            + self.home_store.as_ref().map_or(0, store)
            + self
                .level
                .as_ref()
                .map_or(0, |level| text(Some(&level.name)))
            + attributes
            + consents
    }
}

impl Weigh for Identity {
    /// Besides itself.
    fn bytes(&self) -> usize {
        let aliases = &self.aliases;
        let phone = |phone: &PhoneReading| match phone {
            PhoneReading::International(phone) => text(Some(phone.as_str())),
            PhoneReading::National(digits) => text(Some(digits)),
        };
        let contact_type = |of: &ContactType| 4 * ALLOCATION + 2 * text(Some(of.folded()));
        shown(&aliases.email, |email| text(Some(email.as_str())))
            + shown(&aliases.phone, phone)
            + shown(&aliases.national_id, |_| 0)
            + aliases
                .custom_keys
                .iter()
                .map(|key| shown(key, |key| text(Some(key))))
                .sum::<usize>()
            + shown(&self.contact_type, contact_type)
    }
}

/// What the readings own, besides the first, which lies in place.
fn shown<T>(shown: &FieldValue<T>, owns: impl Fn(&T) -> usize) -> usize {
    let list = match shown {
        FieldValue::Several(readings) => size_of_val(&**readings) + ALLOCATION,
        FieldValue::Absent | FieldValue::Unreadable | FieldValue::One(_) => 0,
    };
    list + shown.readings().iter().map(owns).sum::<usize>()
}

impl Weigh for Audiences {
    fn bytes(&self) -> usize {
        let audiences: usize = self
            .audiences
            .iter()
            .map(|audience| 32 + text(Some(&audience.id)) + text(audience.name.as_deref()))
            .sum();
        let warnings: usize = self
            .warnings
            .iter()
            .map(|warning| 32 + text(warning.id.as_deref()) + text(warning.message.as_deref()))
            .sum();
        size_of::<Self>() + ALLOCATION + audiences + warnings
    }
}

impl Weigh for Promotions {
    fn bytes(&self) -> usize {
        let offer = |offer: &Offer| {
            let value = match &offer.value {
                OfferValue::Text(value) => text(Some(value)),
                OfferValue::Money(value) => text(Some(&value.currency)),
                OfferValue::None | OfferValue::Number(_) => 0,
            };
            size_of::<Offer>()
                + value
                + money(&offer.local_values)
                + text(offer.instruction.as_deref())
        };
        let promotions: usize = self
            .iter()
            .map(|promotion| {
                let texts = [
                    Some(&promotion.id),
                    promotion.promotion_id.as_ref(),
                    promotion.name.as_ref(),
                    promotion.heading.as_ref(),
                    promotion.description.as_ref(),
                    promotion.image_url.as_ref(),
                    promotion.link.as_ref(),
                ];
                size_of_val(promotion)
                    + texts
                        .into_iter()
                        .map(|value| text(value.map(|value| &**value)))
                        .sum::<usize>()
                    + promotion.offers.iter().map(offer).sum::<usize>()
            })
            .sum();
        size_of::<Self>() + ALLOCATION + promotions
    }
}

impl Weigh for Vouchers {
    fn bytes(&self) -> usize {
        let vouchers: usize = self
            .iter()
            .map(|voucher| {
                size_of_val(voucher)
                    + text(Some(&voucher.id))
                    + text(voucher.code.as_deref())
                    + text(voucher.name.as_deref())
                    + voucher
                        .value
                        .as_ref()
                        .map_or(0, |value| text(Some(&value.currency)))
                    + money(&voucher.local_values)
            })
            .sum();
        size_of::<Self>() + ALLOCATION + vouchers
    }
}

impl Weigh for Points {
    fn bytes(&self) -> usize {
        let accounts: usize = self
            .accounts
            .iter()
            .map(|account| size_of_val(account) + text(account.definition_id.as_deref()))
            .sum();
        size_of::<Self>() + ALLOCATION + accounts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::{
        Address, Audience, Consent, Decimal, Level, OfferKind, PointAccount, Promotion, Voucher,
        Warning,
    };

    /// What texts of these lengths weigh together.
    fn texts(lengths: &[usize]) -> usize {
        lengths.iter().map(|length| length + 16).sum()
    }

    fn sek() -> Money {
        Money {
            amount: Decimal::ONE,
            currency: "SEK".into(),
        }
    }

    #[test]
    fn an_empty_part_weighs_what_its_fields_do() {
        assert_eq!(Profile::default().bytes(), size_of::<Profile>() + 16);
        assert_eq!(Audiences::default().bytes(), size_of::<Audiences>() + 16);
        assert_eq!(Promotions::default().bytes(), size_of::<Promotions>() + 16);
        assert_eq!(Vouchers::default().bytes(), size_of::<Vouchers>() + 16);
        assert_eq!(Points::default().bytes(), size_of::<Points>() + 16);
    }

    #[test]
    fn a_profile_weighs_every_text_that_it_owns() {
        let mut profile = Profile {
            first_name: Some("1".into()),
            last_name: Some("22".into()),
            email: Some("333".into()),
            mobile_phone: Some("4444".into()),
            birth_day: Some("55555".into()),
            language: Some("666666".into()),
            member_number: Some("7777777".into()),
            address: Address {
                street: Some("88888888".into()),
                care_of: Some("999999999".into()),
                zip_code: Some("1234567890".into()),
                city: Some("12345678901".into()),
                country_code: Some("123456789012".into()),
            },
            ..Profile::default()
        };
        profile.identity.aliases.custom_keys = [
            FieldValue::One("1234567890123".into()),
            FieldValue::One("12345678901234".into()),
        ];
        let mut expected =
            Profile::default().bytes() + texts(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        assert_eq!(profile.bytes(), expected);

        profile.home_store = Some(HomeStore {
            id: Some("1".into()),
            name: Some("22".into()),
            external_id: Some("4444".into()),
        });
        expected += texts(&[1, 2, 4]);
        assert_eq!(profile.bytes(), expected);

        profile.level = Some(Level {
            name: "Gold".into(),
            expires_on: None,
            points_to_next: None,
        });
        expected += texts(&[4]);
        assert_eq!(profile.bytes(), expected);

        let value = RawValue::from_string("\"abc\"".to_owned()).expect("a value");
        profile.attributes = vec![("key".into(), value)];
        expected += 32 + texts(&[3, 5]);
        assert_eq!(profile.bytes(), expected);

        let consent = |id: &str| Consent {
            id: id.into(),
            given: None,
            date: None,
        };
        profile.consents = Some(vec![consent("terms"), consent("news")]);
        expected += 2 * 48 + texts(&[5, 4]);
        assert_eq!(profile.bytes(), expected);
    }

    #[test]
    fn audiences_and_warnings_weigh_their_texts() {
        let audiences = Audiences {
            audiences: vec![Audience {
                id: "1".into(),
                name: Some("22".into()),
            }],
            warnings: vec![Warning {
                id: Some("4444".into()),
                message: Some("88888888".into()),
            }],
        };
        let expected = Audiences::default().bytes() + 2 * 32 + texts(&[1, 2, 4, 8]);
        assert_eq!(audiences.bytes(), expected);
    }

    #[test]
    fn promotions_weigh_their_texts_and_their_offers() {
        let offer = |value| Offer {
            channel: None,
            kind: OfferKind::Other,
            value,
            local_values: vec![sek()],
            instruction: Some("22".into()),
        };
        let promotions = vec![Promotion {
            id: "1".into(),
            promotion_id: Some("22".into()),
            name: Some("333".into()),
            heading: Some("4444".into()),
            description: Some("55555".into()),
            image_url: Some("666666".into()),
            link: Some("7777777".into()),
            expires_on: None,
            redeemed: false,
            offers: vec![
                offer(OfferValue::None),
                offer(OfferValue::Text("12345".into())),
                offer(OfferValue::Money(sek())),
            ],
        }];
        let each = size_of::<Offer>() + size_of::<Money>() + texts(&[3, 2]);
        let expected = Promotions::default().bytes()
            + size_of::<Promotion>()
            + texts(&[1, 2, 3, 4, 5, 6, 7])
            + 3 * each
            + texts(&[5, 3]);
        assert_eq!(promotions.bytes(), expected);
    }

    #[test]
    fn vouchers_weigh_their_texts_and_their_money() {
        let vouchers = vec![Voucher {
            id: "1".into(),
            code: Some("22".into()),
            name: Some("4444".into()),
            value: Some(sek()),
            local_values: vec![sek(), sek()],
            expires_on: None,
            redeemed: false,
        }];
        let expected = Vouchers::default().bytes()
            + size_of::<Voucher>()
            + 2 * size_of::<Money>()
            + texts(&[1, 2, 4, 3, 3, 3]);
        assert_eq!(vouchers.bytes(), expected);
    }

    #[test]
    fn points_weigh_their_accounts() {
        let account = |definition: &str| PointAccount {
            definition_id: Some(definition.into()),
            balance: Decimal::ONE,
            pending: None,
            expires_on: None,
        };
        let points = Points {
            accounts: vec![account("1"), account("22")],
        };
        let expected = Points::default().bytes() + 2 * size_of::<PointAccount>() + texts(&[1, 2]);
        assert_eq!(points.bytes(), expected);
    }
}
