//! What the parts weigh: their size in memory, followed through every allocation they own.

use super::Weigh;
use crate::domain::{
    Audiences, Money, Offer, OfferValue, Points, Profile, Promotions, Store, Vouchers,
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
            &self.names.custom_keys[0],
            &self.names.custom_keys[1],
        ];
        let texts: usize = texts.into_iter().map(|value| text(value.as_deref())).sum();
        let names = 2 * (24 + ALLOCATION);
        let store = |store: &Store| {
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
            .map(|consent| 48 + text(Some(&consent.id)))
            .sum();
        size_of::<Self>()
            + ALLOCATION
            + texts
            + names
            + self.home_store.as_ref().map_or(0, store)
            + self
                .level
                .as_ref()
                .map_or(0, |level| text(Some(&level.name)))
            + attributes
            + consents
    }
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
