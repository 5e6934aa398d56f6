//! The schemas of the response's types, for `docs/openapi.json`. Compiled for tests only.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{ObjectBuilder, Type},
    },
};

use super::json::AnswerJson;
use crate::{
    customer::contactability::AddressStatus,
    domain::{Channel, HistoryPart, Part},
};

/// The names and schemas of the response and of all types that it contains, the response first. What a derived schema
/// cannot say is added when the document is put together.
pub(crate) fn of_answer() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(AnswerJson::name().into_owned(), AnswerJson::schema())];
    AnswerJson::schemas(&mut schemas);
    schemas
}

macro_rules! names {
    ($(#[doc = $doc:literal] $Type:ident = $values:expr;)+) => {
        $(
            #[doc = $doc]
            pub(super) struct $Type;

            impl PartialSchema for $Type {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some($values))
                        .description(Some($doc.trim()))
                        .into()
                }
            }

            impl ToSchema for $Type {}
        )+
    };
}

names! {
    /// A part of a customer. Open: there may be others.
    PartName = Part::ALL.map(Part::as_str).into_iter().chain(HistoryPart::ALL.map(HistoryPart::as_str));
    /// A redemption channel. Closed: channels that are not known are `null`.
    ChannelName = Channel::ALL.map(Channel::as_str);
    /// The state of an address or a number. Closed.
    ContactStatus = [AddressStatus::Ok, AddressStatus::Missing, AddressStatus::Malformed, AddressStatus::Warned]
        .map(AddressStatus::as_str);
}
