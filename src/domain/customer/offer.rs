//! The promotions and vouchers parts.

use std::fmt;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::redacted_debug;
use crate::domain::{listed_enum::listed_enum, plain};

/// A contact's promotions.
pub type Promotions = Vec<Promotion>;

/// A promotion assigned to a contact.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The assignment, unique to this contact: the id to redeem.
    pub id: Box<str>,
    /// The template, shared by many contacts.
    pub promotion_id: Option<Box<str>>,
    /// The promotion's id in the retailer's own systems, by which tills and shop platforms find it.
    pub external_id: Option<Box<str>>,
    /// Engage's type of promotion, such as `Multichannel`; there may be others.
    pub promotion_type: Option<Box<str>>,
    /// Internal name.
    pub name: Option<Box<str>>,
    /// Heading.
    pub heading: Option<Box<str>>,
    /// Description.
    pub description: Option<Box<str>>,
    /// Image.
    pub image_url: Option<Box<str>>,
    /// Link.
    pub link: Option<Box<str>>,
    /// End of validity; `None` means never.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Whether it was redeemed.
    pub redeemed: bool,
    /// Its offers, by channel.
    pub offers: Vec<Offer>,
}

/// A promotion's offer in one channel.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Where it can be redeemed; `None` for an unknown channel.
    pub channel: Option<Channel>,
    /// The kind of offer.
    pub kind: OfferKind,
    /// Its value.
    pub value: OfferValue,
    /// The same amount in other currencies.
    pub local_values: Vec<Money>,
    /// Instructions for staff.
    pub instruction: Option<Box<str>>,
}

listed_enum! {
    /// A redemption channel. The names are Engage's too.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    #[serde(rename_all = "UPPERCASE")]
    pub enum Channel {
        /// The web shop.
        Ecom => "ECOM",
        /// The till.
        Pos => "POS",
        /// Any other.
        Other => "OTHER",
    }
}

impl Channel {
    /// The channel of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Channel::ALL
            .into_iter()
            .find(|channel| channel.as_str() == name)
    }
}

/// The kind of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfferKind {
    /// A rebate in per cent.
    Percent,
    /// A rebate in money.
    Money,
    /// A code for the shop platform.
    External,
    /// A text for staff.
    Manual,
    /// `SWIPE`, whose value is not documented, or an unknown kind.
    Other,
}

/// The value of an offer.
#[derive(PartialEq, Serialize, Deserialize)]
pub enum OfferValue {
    /// No value.
    None,
    /// A percentage.
    Number(#[serde(with = "plain")] Decimal),
    /// A code or text.
    Text(Box<str>),
    /// Money.
    Money(Money),
}

/// An exact amount of money.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// The amount, with its decimals as written by Engage.
    #[serde(with = "plain")]
    pub amount: Decimal,
    /// ISO 4217 currency code.
    pub currency: Box<str>,
}

/// A contact's vouchers.
pub type Vouchers = Vec<Voucher>;

/// A reward voucher.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Voucher {
    /// The id to redeem.
    pub id: Box<str>,
    /// The code on the voucher, a bearer credential.
    pub code: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// Its value in the group's currency.
    pub value: Option<Money>,
    /// The same amount in other currencies.
    pub local_values: Vec<Money>,
    /// End of validity; `None` means never.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Whether it was redeemed.
    pub redeemed: bool,
}

redacted_debug!(Promotion, Offer, OfferValue, Money, Voucher);
