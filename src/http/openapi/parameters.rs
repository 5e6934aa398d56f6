//! Parameters in the query, and header fields of requests. A body has the same names: its schema refers to theirs.

use serde_json::{Map, Value, json};

use crate::domain::{Channel, HistoryPart, IdentifierKind, Part};

/// A query parameter.
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    /// The schema of its value in a body; in a query a list is separated by commas.
    pub(super) schema: Value,
    pub(super) example: Value,
}

fn parameter(
    name: &'static str,
    description: &'static str,
    schema: Value,
    example: Value,
) -> Parameter {
    Parameter {
        name,
        description,
        schema,
        example,
    }
}

/// The identifiers: exactly one of them is sent.
pub(super) fn identifiers() -> Vec<Parameter> {
    let identifier = |kind: IdentifierKind| {
        let (description, schema, example) = match kind {
            IdentifierKind::ContactId => (
                "Engage's id of the customer.",
                json!({"type": "string", "format": "uuid",
                    "pattern": "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"}),
                "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01",
            ),
            IdentifierKind::Email => (
                "An e-mail address in ASCII; case and surrounding blanks are ignored.",
                json!({"type": "string", "maxLength": 254, "pattern": "^[\\x21-\\x7e]+@[\\x21-\\x7e]+$"}),
                "alva.testsson@example.com",
            ),
            IdentifierKind::MobilePhone => (
                "A phone number: international, or national of `identifiers.phone_region`; hyphens and blanks are \
                 ignored. In a query `+` is written `%2B`.",
                json!({"type": "string", "pattern": "^[-+()./ 0-9]{5,40}$"}),
                "+46701740605",
            ),
            IdentifierKind::SocialSecurityNumber => (
                "A Swedish personnummer or samordningsnummer, or a Finnish henkilötunnus. In a query it is a 400 \
                 `NationalIdInUrl`, unless `server.allow_national_id_in_url` is on.",
                json!({"type": "string", "minLength": 10, "maxLength": 15}),
                "198507099805",
            ),
            IdentifierKind::CustomKey => (
                "The member number or the external id, whichever the tenant has set up; sent to Engage unchanged.",
                json!({"type": "string", "minLength": 1, "maxLength": 100}),
                "100001",
            ),
            IdentifierKind::Any => (
                "A value of unknown kind: read as e-mail address, national id, phone number, custom key, in this order.",
                json!({"type": "string", "minLength": 1, "maxLength": 254}),
                "alva.testsson@example.com",
            ),
        };
        parameter(kind.as_str(), description, schema, example.into())
    };
    IdentifierKind::ALL.map(identifier).into()
}

fn contact_type(name: &'static str, description: &'static str) -> Parameter {
    let schema = json!({"type": "string", "pattern": "^[-_.A-Za-z0-9]{1,64}$"});
    parameter(name, description, schema, "Member".into())
}

fn names(names: &[&str]) -> Value {
    json!({"type": "array", "uniqueItems": true, "items": {"type": "string", "enum": names}})
}

/// Those of the history that page it, and `fresh`.
fn on_parts() -> Vec<Parameter> {
    let history = HistoryPart::ALL.map(HistoryPart::as_str);
    let optional = [Part::Points, Part::Promotions, Part::Vouchers].map(Part::as_str);
    let can_be_fresh = [&optional[..], &[Part::Profile.as_str()], &history].concat();
    vec![
        parameter(
            "parts",
            "What is needed besides profile and audiences. Default: points, promotions and vouchers. In a body `[]` means \
             none, in a query `none`. Those of the history need the view `full`, or a shopper's token.",
            names(&[&optional[..], &history].concat()),
            json!(["points", "vouchers"]),
        ),
        parameter(
            "fresh",
            "The requested parts that are needed as they are now. `all` alone stands for all of them.",
            names(&[&can_be_fresh[..], &["all"]].concat()),
            json!(["points"]),
        ),
        parameter(
            "limit",
            "How many items of each list of the history. Only where one is requested.",
            json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
            20.into(),
        ),
        parameter(
            "before",
            "Only items of the history before this time. Only where a list of it is requested.",
            json!({"type": "string", "format": "date-time"}),
            "2026-11-16T12:00:00.000Z".into(),
        ),
    ]
}

/// Those of a look-up besides the identifiers and the contact type.
pub(super) fn of_lookup() -> Vec<Parameter> {
    let channels = Channel::ALL.map(Channel::as_str);
    let mut all = vec![parameter(
        "view",
        "How much of the customer. Default: the client's; `full` needs `customer:read:full`.",
        json!({"type": "string", "enum": ["storefront", "full"]}),
        "storefront".into(),
    )];
    all.extend(on_parts());
    all.extend([
        parameter(
            "channel",
            "Offers of other channels are left out. Default: the client's, else all.",
            json!({"type": "string", "enum": channels}),
            "ECOM".into(),
        ),
        parameter(
            "expiringWithin",
            "The window of `expiringSoon`, in whole days: 1 to 365. Default: `views.expiring_within`.",
            json!({"type": "string",
                "pattern": "^([1-9]|[1-9][0-9]|[12][0-9][0-9]|3[0-5][0-9]|36[0-5])d$"}),
            "14d".into(),
        ),
        parameter(
            "wait",
            "How many milliseconds this caller waits for Engage, at most: 100 to `server.request_timeout`, which is the \
             default, and 2500 unless configured otherwise.",
            json!({"type": "integer", "minimum": 100, "maximum": 2500}),
            300.into(),
        ),
        parameter(
            "onUnavailable",
            "`guest`: an answer about no customer in place of an error of Engage.",
            json!({"type": "string", "enum": ["guest"]}),
            "guest".into(),
        ),
    ]);
    all
}

/// The contact type that the identifier is narrowed by.
pub(super) fn narrowing() -> Parameter {
    contact_type(
        "contactType",
        "Engage's contact type. Needed with every identifier but `contactId`, unless \
         `engage.default_contact_type` is set or `prefer` is sent.",
    )
}

/// The contact type that chooses among several customers with the identifier. Not at `/customer/changed`.
pub(super) fn preferred() -> Parameter {
    contact_type(
        "prefer",
        "Of several customers that share the identifier, the only one of this type. Without `contactType`, and not with \
         `contactId`; at `/customer/me` without effect where the token has a contact id.",
    )
}

/// The header fields of requests: name, description and example.
const HEADERS: [(&str, &str, &str); 5] = [
    (
        "If-None-Match",
        "The `ETag` of the caller's copy: a 304 if it is current, a 412 of a `POST`.",
        "\"3b1e23ef0dd373dd51813415\"",
    ),
    (
        "If-Match",
        "The `ETag` of the caller's copy: a 412 if it is not current.",
        "\"3b1e23ef0dd373dd51813415\"",
    ),
    (
        "Cache-Control",
        "`no-cache`, `max-age=N`, `only-if-cached`, `stale-if-error=0`; ignored without `customer:fresh`.",
        "max-age=60",
    ),
    (
        "X-Request-Id",
        "The id of the request in answers and logs: 1 to 64 letters, digits, `-`, `_`, `.`. Any other is replaced.",
        "04ff3a7c-3285-4143-80a5-caf3991a8076",
    ),
    (
        "traceparent",
        "W3C Trace Context: where the service traces, the request of a client with a key is part of this trace.",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ),
];

/// The components.
pub(super) fn all() -> Map<String, Value> {
    let mut all = Map::new();
    let query = identifiers().into_iter();
    let query = query.chain([narrowing(), preferred()]).chain(of_lookup());
    for parameter in query {
        let mut query = json!({
            "name": parameter.name, "in": "query",
            "description": parameter.description, "schema": parameter.schema, "example": parameter.example,
        });
        if query["schema"]["type"] == "array" {
            query["style"] = "form".into();
            query["explode"] = false.into();
            query["schema"]["minItems"] = 1.into();
            if parameter.name == "parts"
                && let Some(names) = query["schema"]["items"]["enum"].as_array_mut()
            {
                names.push("none".into());
            }
        }
        all.insert(parameter.name.to_owned(), query);
    }
    for (name, description, example) in HEADERS {
        let header = json!({
            "name": name, "in": "header",
            "description": description, "schema": {"type": "string"}, "example": example,
        });
        all.insert(name.to_owned(), header);
    }
    all
}

/// A reference to the component.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/parameters/{name}")})
}

/// References to the header fields of a request for a customer.
pub(super) fn header_references() -> impl Iterator<Item = Value> {
    HEADERS.iter().map(|(name, ..)| reference(name))
}
