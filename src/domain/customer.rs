//! What the five parts hold. Immutable once read; everything a tenant may leave out is optional.
//! Neither [`Debug`] output nor errors of these types show personal values. That they can be written and read is for packing
//! them in memory; answers are rendered from types of their own.

use std::fmt;

use jiff::Timestamp;
pub use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Aliases, ContactId, ContactType, FieldValue, Part, PartSet, Partial, plain};

/// One answer of Engage's overview, part by part. A part that it did not tell is `None`.
#[derive(Debug)]
pub struct Overview {
    /// The contact that the overview speaks of.
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
    /// The parts that it tells.
    pub fn parts(&self) -> PartSet {
        let others = [
            (Part::Audiences, self.audiences.is_some()),
            (Part::Promotions, self.promotions.is_some()),
            (Part::Vouchers, self.vouchers.is_some()),
            (Part::Points, self.points.is_some()),
        ];
        let told = others.into_iter().filter(|(_, is_told)| *is_told);
        told.map(|(part, _)| part).chain([Part::Profile]).collect()
    }
}

/// Attributes, meta, preferences and consents.
#[derive(Default, Serialize, Deserialize)]
pub struct Profile {
    /// Which contact it is.
    pub identity: Identity,
    /// First name.
    pub first_name: Option<Box<str>>,
    /// Last name.
    pub last_name: Option<Box<str>>,
    /// E-mail address as Engage holds it, malformed ones too; blank is `None`.
    pub email: Option<Box<str>>,
    /// Mobile number as Engage holds it, malformed ones too; blank is `None`.
    pub mobile_phone: Option<Box<str>>,
    /// Postal address.
    pub address: Address,
    /// Day of birth, `YYYY-MM-DD`.
    pub birth_day: Option<Box<str>>,
    /// Language, such as `sv`.
    pub language: Option<Box<str>>,
    /// Membership number: digits, yet text.
    pub member_number: Option<Box<str>>,
    /// Loyalty level.
    pub level: Option<Level>,
    /// Home store.
    pub home_store: Option<HomeStore>,
    /// When the contact registered.
    #[serde(with = "plain")]
    pub member_since: Option<Timestamp>,
    /// Protected identity: address and numbers must not be shown by default.
    pub secrecy_marked: bool,
    /// What Engage tells beyond the fields above, under Engage's keys, as it was written.
    #[serde(with = "plain")]
    pub attributes: Vec<(Box<str>, Box<RawValue>)>,
    /// Which channels the contact accepts.
    pub preferences: Preferences,
    /// The consents that were given or withdrawn; `None` where they cannot be read.
    pub consents: Option<Vec<Consent>>,
}

impl PartialEq for Profile {
    /// Attributes are the same where Engage wrote them so.
    fn eq(&self, other: &Self) -> bool {
        let Profile {
            identity,
            first_name,
            last_name,
            email,
            mobile_phone,
            address,
            birth_day,
            language,
            member_number,
            level,
            home_store,
            member_since,
            secrecy_marked,
            attributes,
            preferences,
            consents,
        } = self;
        *identity == other.identity
            && *first_name == other.first_name
            && *last_name == other.last_name
            && *email == other.email
            && *mobile_phone == other.mobile_phone
            && *address == other.address
            && *birth_day == other.birth_day
            && *language == other.language
            && *member_number == other.member_number
            && *level == other.level
            && *home_store == other.home_store
            && *member_since == other.member_since
            && *secrecy_marked == other.secrecy_marked
            && *preferences == other.preferences
            && *consents == other.consents
            && are_written_alike(attributes, &other.attributes)
    }
}

fn are_written_alike(
    some: &[(Box<str>, Box<RawValue>)],
    other: &[(Box<str>, Box<RawValue>)],
) -> bool {
    some.len() == other.len()
        && some
            .iter()
            .zip(other)
            .all(|((key, value), (other_key, other_value))| {
                key == other_key && value.get() == other_value.get()
            })
}

/// What a name that leads to a contact is checked against.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The contact's type, such as `Member`.
    pub contact_type: FieldValue<ContactType>,
    /// The identifiers that the contact bears, in canonical form.
    pub aliases: Aliases,
}

impl Identity {
    /// Whether the contact is of the type asked for. One that shows no type can't contradict; one whose type can't be read
    /// does.
    pub fn is_of(&self, asked: Option<&ContactType>) -> bool {
        let is_of =
            |asked| self.contact_type.is_absent() || self.contact_type.readings().contains(asked);
        asked.is_none_or(is_of)
    }
}

/// A postal address.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    pub street: Option<Box<str>>,
    /// Care of.
    pub care_of: Option<Box<str>>,
    /// Postal code.
    pub zip_code: Option<Box<str>>,
    /// City.
    pub city: Option<Box<str>>,
    /// ISO 3166-1 alpha-2 country code.
    pub country_code: Option<Box<str>>,
}

/// A loyalty level.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// Its name, such as `Gold`.
    pub name: Box<str>,
    /// When it lapses.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Points missing to the next level.
    #[serde(with = "plain")]
    pub points_to_next: Option<Decimal>,
}

/// A store.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct HomeStore {
    /// Engage's id.
    pub id: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// The retailer's own id.
    pub external_id: Option<Box<str>>,
}

/// Which channels the contact accepts; `None` where Engage does not say.
#[derive(Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// E-mail.
    pub accepts_email: Option<bool>,
    /// Text messages.
    pub accepts_sms: Option<bool>,
    /// Post.
    pub accepts_postal: Option<bool>,
}

/// A consent.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Consent {
    /// The consent's key, such as `memberTerms`.
    pub id: Box<str>,
    /// Whether it is given.
    pub given: Option<bool>,
    /// When it was given or withdrawn.
    #[serde(with = "plain")]
    pub date: Option<Timestamp>,
}

/// Audiences and warnings.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Audiences {
    /// The target audiences that the contact belongs to.
    pub audiences: Vec<Audience>,
    /// What Engage warns of, such as an address that bounces.
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

/// A contact's promotions.
pub type Promotions = Vec<Promotion>;

/// A promotion assigned to a contact.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Promotion {
    /// The assignment: unique to this contact, the one to redeem.
    pub id: Box<str>,
    /// The template, shared by many contacts.
    pub promotion_id: Option<Box<str>>,
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
    /// When it lapses; `None` = never.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Whether it was used.
    pub redeemed: bool,
    /// What it gives, channel by channel.
    pub offers: Vec<Offer>,
}

/// What a promotion gives in one channel.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Where it can be redeemed; `None` for a channel this service does not know.
    pub channel: Option<Channel>,
    /// What kind of offer it is.
    pub kind: OfferKind,
    /// What it is worth.
    pub value: OfferValue,
    /// The same amount in other currencies.
    pub local_values: Vec<Money>,
    /// What staff are to do.
    pub instruction: Option<Box<str>>,
}

/// A redemption channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// The web shop.
    Ecom,
    /// The till.
    Pos,
    /// Anything else.
    Other,
}

impl Channel {
    /// The name in parameters and answers, which is Engage's too.
    pub const fn as_str(self) -> &'static str {
        match self {
            Channel::Ecom => "ECOM",
            Channel::Pos => "POS",
            Channel::Other => "OTHER",
        }
    }

    /// The channel of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Channel::Ecom, Channel::Pos, Channel::Other]
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
    /// Swiped by the customer, or a kind this service does not know.
    Other,
}

/// What an offer is worth.
#[derive(PartialEq, Serialize, Deserialize)]
pub enum OfferValue {
    /// Nothing was said.
    None,
    /// A number: per cent.
    Number(#[serde(with = "plain")] Decimal),
    /// A code or text.
    Text(Box<str>),
    /// Money.
    Money(Money),
}

/// An exact amount of money.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct Money {
    /// The amount, with the decimals that Engage wrote.
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
    /// Redeem by this.
    pub id: Box<str>,
    /// The code on the voucher: bearer money.
    pub code: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// What it is worth in the group's currency.
    pub value: Option<Money>,
    /// The same amount in other currencies.
    pub local_values: Vec<Money>,
    /// When it lapses; `None` = never.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
    /// Whether it was used.
    pub redeemed: bool,
}

/// A contact's points.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// One account for each point definition.
    pub accounts: Vec<PointAccount>,
}

/// A point account.
#[derive(PartialEq, Serialize, Deserialize)]
pub struct PointAccount {
    /// Which kind of points; `None` in API v2's overview, which tells one balance only.
    pub definition_id: Option<Box<str>>,
    /// Points that can be used now.
    #[serde(with = "plain")]
    pub balance: Decimal,
    /// Points that become usable later; `None` where Engage does not say.
    #[serde(with = "plain")]
    pub pending: Option<Decimal>,
    /// When the balance lapses.
    #[serde(with = "plain")]
    pub expires_on: Option<Timestamp>,
}

macro_rules! redacted_debug {
    ($($type:ident),+ $(,)?) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($type), "(…)"))
            }
        }
    )+};
}

redacted_debug!(
    Profile,
    Identity,
    Address,
    Level,
    HomeStore,
    Consent,
    Audiences,
    Audience,
    Warning,
    Promotion,
    Offer,
    OfferValue,
    Money,
    Voucher,
    Points,
    PointAccount,
    Preferences,
);
