//! Domain types: identifiers, a customer's five parts and their data. A leaf that imports no other module and knows
//! neither HTTP nor the form of Engage's responses.

pub mod aliases;
pub mod change;
pub mod contact_id;
pub mod contact_type;
pub mod custom_key;
pub mod customer;
pub mod digest;
pub mod email;
pub mod field_value;
pub mod flow;
pub mod history;
pub mod identifier;
pub(crate) mod listed_enum;
pub mod lookup;
pub mod matches;
pub mod national_id;
pub mod part;
pub mod partial;
pub mod phone;
pub mod plain;
mod punctuation;
pub mod request_id;
pub mod trace;
pub mod unique;

pub use aliases::{Aliases, Match};
pub use change::{Change, ChangeKind};
pub use contact_id::ContactId;
pub use contact_type::ContactType;
pub use customer::{
    Address, Audience, Audiences, Channel, Consent, Decimal, HomeStore, Identity, Level, Money,
    Offer, OfferKind, OfferValue, Overview, PointAccount, Points, Preferences, Profile, Promotion,
    Promotions, Voucher, Vouchers, Warning,
};
pub use digest::{Digester, KeyedDigest};
pub use field_value::FieldValue;
pub use flow::{Claim, ClientName, Demand, Flow, Priority, PriorityClass, Requester, Requesters};
pub use history::{
    Dated, History, HistoryList, HistoryMap, HistoryPart, HistorySet, PointTransaction,
    PurchaseFigures, Purchases, RedeemedVoucher,
};
pub use identifier::{Identifier, IdentifierError, IdentifierKind, IdentifierRules};
pub use lookup::{Lookup, LookupKey};
pub use matches::Matches;
pub use part::{Part, PartMap, PartSet};
pub use partial::{AnswerPath, Partial};
pub use request_id::RequestId;
pub use trace::{FlightTrace, SpanContext, SpanId, TraceId};
pub use unique::{UniqueKinds, UniqueValue};
