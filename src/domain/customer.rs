//! The data of the five parts. Immutable once parsed; everything that a tenant may leave out is optional.
//! [`Debug`](fmt::Debug) output contains no personal values. The serde implementations are for the cache, in memory and
//! in the shared tier, not for responses.

mod offer;
mod profile;

use std::fmt;

use jiff::Timestamp;
pub use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

pub use self::{
    offer::{
        Channel, Money, Offer, OfferKind, OfferValue, Promotion, Promotions, Voucher, Vouchers,
    },
    profile::{Address, Consent, HomeStore, Identity, Level, Preferences, Profile},
};
use super::{
    contact_id::ContactId,
    part::{Part, PartSet},
    partial::{AnswerPath, Partial},
    plain,
};

macro_rules! redacted_debug {
    ($($type:ident),+ $(,)?) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    )+};
}

use redacted_debug;

/// A response of Engage's overview. A part that it does not contain is `None`.
#[derive(Debug)]
pub struct Overview {
    /// The contact.
    pub id: ContactId,
    /// The profile.
    pub profile: Partial<Profile>,
    /// Audiences and warnings.
    pub audiences: Option<Partial<Audiences>>,
    /// Promotions.
    pub promotions: Option<Partial<Promotions>>,
    /// Vouchers.
    pub vouchers: Option<Partial<Vouchers>>,
    /// Points: in API v2 only.
    pub points: Option<Partial<Points>>,
}

impl Overview {
    /// The parts that it contains.
    pub fn parts(&self) -> PartSet {
        let contains = |part: &Part| self.find_left_out(*part).is_some();
        Part::ALL.into_iter().filter(contains).collect()
    }

    /// Paths of the unreadable items of a part.
    pub fn left_out(&self, part: Part) -> &[AnswerPath] {
        self.find_left_out(part).unwrap_or_default()
    }

    fn find_left_out(&self, part: Part) -> Option<&[AnswerPath]> {
        fn of<T>(part: &Partial<T>) -> &[AnswerPath] {
            &part.left_out
        }
        match part {
            Part::Profile => Some(of(&self.profile)),
            Part::Audiences => self.audiences.as_ref().map(of),
            Part::Promotions => self.promotions.as_ref().map(of),
            Part::Vouchers => self.vouchers.as_ref().map(of),
            Part::Points => self.points.as_ref().map(of),
        }
    }
}

/// Audiences and warnings.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Audiences {
    /// The contact's target audiences.
    pub audiences: Vec<Audience>,
    /// Engage's warnings, such as a bouncing address.
    pub warnings: Vec<Warning>,
}

/// A target audience.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Audience {
    /// Its id.
    pub id: Box<str>,
    /// Its name.
    pub name: Option<Box<str>>,
}

/// A warning about the contact.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Warning {
    /// The warning's key.
    pub id: Option<Box<str>>,
    /// Its text.
    pub message: Option<Box<str>>,
}

/// A contact's points.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// One account for each point definition.
    pub accounts: Vec<PointAccount>,
}

/// A point account.
#[derive(Serialize, Deserialize)]
pub struct PointAccount {
    /// Point definition; `None` in API v2's overview, which has one balance only.
    pub definition_id: Option<Box<str>>,
    /// The name of the point definition, if it was known when the account was read.
    pub name: Option<Box<str>>,
    /// Points that can be used now.
    #[serde(with = "plain")]
    pub balance: Decimal,
    /// Points that become usable later; `None` if unknown.
    #[serde(with = "plain")]
    pub pending: Option<Decimal>,
    /// End of validity of the balance.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
}

impl PartialEq for PointAccount {
    /// Whether the accounts are the same. Their names say nothing about the contact, so they are not compared.
    fn eq(&self, other: &Self) -> bool {
        let PointAccount {
            definition_id,
            name: _,
            balance,
            pending,
            expires_on,
        } = self;
        *definition_id == other.definition_id
            && *balance == other.balance
            && *pending == other.pending
            && *expires_on == other.expires_on
    }
}

redacted_debug!(Audiences, Audience, Warning, Points, PointAccount);
