//! The words of the house: identifiers, the customer's five parts and what they hold. A leaf that
//! imports no other room and knows neither HTTP nor Engage's spelling.

pub mod aliases;
pub mod change;
pub mod contact_id;
pub mod contact_type;
pub mod custom_key;
pub mod customer;
pub mod demand;
pub mod digest;
pub mod email;
pub mod identifier;
pub mod lookup;
pub mod national_id;
pub mod part;
pub mod phone;
pub mod plain;
mod punctuation;
pub mod readable;
pub mod shown;

pub use aliases::{Aliases, Match};
pub use change::{Change, ChangeKind};
pub use contact_id::ContactId;
pub use contact_type::ContactType;
pub use customer::{
    Address, Audience, Audiences, Channel, Consent, Decimal, Identity, Level, Money, Offer,
    OfferKind, OfferValue, Overview, PointAccount, Points, Preferences, Profile, Promotion,
    Promotions, Store, Voucher, Vouchers, Warning,
};
pub use demand::{Claim, Claims, ClientName, Flow, Urgency};
pub use digest::{Digester, KeyedDigest};
pub use identifier::{Identifier, IdentifierError, IdentifierKind, IdentifierRules};
pub use lookup::{Lookup, LookupKey};
pub use part::{Part, PartMap, PartSet};
pub use readable::{AnswerPath, Readable};
pub use shown::Shown;
