//! Parses a contact's history: point transactions, redeemed vouchers and the summary of purchases.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::{
    Page, Reader,
    items::{is_of, page, voucher},
    raw,
};
use crate::{
    domain::{
        AnswerPath, ContactId, Partial, PointTransaction, PurchaseFigures, Purchases,
        RedeemedVoucher,
    },
    engage::error::Error,
    json::{Object, elements, readable},
};

impl Reader {
    /// Parses a page of a contact's point transactions: in API v3 those of one definition.
    pub fn point_transactions(
        &self,
        id: ContactId,
        definition: Option<&str>,
        body: &[u8],
    ) -> Result<Page<Partial<Vec<PointTransaction>>>, Error> {
        page(raw(body)?)?.read(|list| {
            let elements = elements(list).ok_or_else(|| Error::invalid("transactions"))?;
            if !elements.iter().flatten().all(|item| is_of(id, item)) {
                return Err(Error::IdentityMismatch);
            }
            Ok(readable(elements, |element| {
                self.transaction(definition, &element.ok_or("transactions[]")?)
            }))
        })
    }

    /// Parses a page of a contact's redeemed vouchers.
    pub fn redeemed_vouchers(
        &self,
        id: ContactId,
        body: &[u8],
    ) -> Result<Page<Partial<Vec<RedeemedVoucher>>>, Error> {
        page(raw(body)?)?.read(|list| {
            let elements = elements(list).ok_or_else(|| Error::invalid("redeemed"))?;
            if !elements.iter().flatten().all(|item| is_of(id, item)) {
                return Err(Error::IdentityMismatch);
            }
            Ok(readable(elements, |element| {
                self.redeemed(&element.ok_or("redeemed[]")?)
            }))
        })
    }

    /// Parses `/contacts/{id}/purchasehistorysummary`. A figure that can't be read is left out.
    pub fn purchases(&self, id: ContactId, body: &[u8]) -> Result<Partial<Purchases>, Error> {
        let summary = Object::parse(body).ok_or_else(|| Error::invalid("$"))?;
        if !is_of(id, &summary) {
            return Err(Error::IdentityMismatch);
        }
        let mut left_out = Vec::new();
        let mut date = |key: &str, path| {
            let read = self.start(&summary, key);
            read.unwrap_or_else(|_| {
                left_out.push(path);
                None
            })
        };
        let updated_on = date("lastUpdated", "purchases.lastUpdated");
        let latest_receipt_on = date("latestReceiptDate", "purchases.latestReceiptDate");
        let mut figures = |period| figures(&summary, period, &mut left_out);
        let purchases = Purchases {
            updated_on,
            latest_receipt_on,
            all: figures("All"),
            last_year: figures("LastYear"),
            last_two_years: figures("LastTwoYears"),
        };
        Ok(Partial {
            data: purchases,
            left_out,
        })
    }

    /// Only the dates say whether the points can be used, so a transaction with unreadable dates is left out.
    fn transaction(
        &self,
        definition: Option<&str>,
        item: &Object<'_>,
    ) -> Result<PointTransaction, AnswerPath> {
        Ok(PointTransaction {
            id: item.id("id").ok_or("transactions[].id")?,
            definition_id: definition.map(Into::into),
            kind: item.filled("type"),
            source: item.filled("source"),
            amount: item.decimal("amount").ok_or("transactions[].amount")?,
            description: item.filled("description"),
            date: self
                .first_date(
                    item,
                    &["transactionDate", "transactionDateTime", "createdOn"],
                )
                .ok_or("transactions[].transactionDate")?,
            valid_from: self
                .start(item, "validFrom")
                .map_err(|_| "transactions[].validFrom")?,
            valid_to: self
                .end(item, "validTo")
                .map_err(|_| "transactions[].validTo")?,
        })
    }

    fn redeemed(&self, item: &Object<'_>) -> Result<RedeemedVoucher, AnswerPath> {
        let voucher = voucher(self, item)?;
        let redeemed_on = self.first_date(item, &["redeemedOn"]);
        Ok(RedeemedVoucher {
            redeemed_on: redeemed_on.ok_or("redeemed[].redeemedOn")?,
            voucher,
            points: item
                .first(&["points", "bonusPoints"])
                .map(|_| {
                    let points = item.decimal("points");
                    points
                        .or_else(|| item.decimal("bonusPoints"))
                        .ok_or("redeemed[].points")
                })
                .transpose()?,
        })
    }

    /// The date under the first of the keys that has one; `None` if there is none or it is unreadable.
    fn first_date(&self, item: &Object<'_>, keys: &[&str]) -> Option<Timestamp> {
        keys.iter()
            .find_map(|key| self.start(item, key).transpose())?
            .ok()
    }
}

/// The figures of a period. Their keys end with its name.
fn figures(summary: &Object<'_>, period: &str, left_out: &mut Vec<AnswerPath>) -> PurchaseFigures {
    let mut figure = |key: &str, path| -> Option<Decimal> {
        let key = format!("{key}{period}");
        let value: Option<&RawValue> = summary.get(&key);
        let number = summary.decimal(&key);
        if value.is_some() && number.is_none() {
            left_out.push(path);
        }
        number
    };
    PurchaseFigures {
        amount: figure("purchaseAmount", "purchases.purchaseAmount"),
        articles: figure(
            "numberOfArticlePurchases",
            "purchases.numberOfArticlePurchases",
        ),
        average_receipt: figure("averageReceipt", "purchases.averageReceipt"),
        frequency: figure("purchaseFrequency", "purchases.purchaseFrequency"),
    }
}
