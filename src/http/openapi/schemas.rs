//! The schemas of answers. What is derived from types says neither that every member is always present, nor what one
//! member says of another: that is added here.

use serde_json::{Map, Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{
    customer::schemas as answer,
    domain::{HistoryPart, Part},
    http::error::{Code, Problem},
};

/// The components.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = tidied(answer::of_answer());
    complete_customer(&mut schemas);
    vary(&mut schemas, "Offer", "value", &offers());
    vary(&mut schemas, "Expiring", "amount", &expiring());
    let guest = guest(&schemas, &schemas["Customer"]);
    schemas.insert("Guest".to_owned(), guest);
    add_problems(&mut schemas);
    schemas
}

/// What was derived from types, with every member required.
pub(super) fn tidied(derived: Vec<(String, RefOr<Schema>)>) -> Map<String, Value> {
    let tidied = |(name, schema)| {
        let mut schema = serde_json::to_value(schema).expect("a schema has a JSON form");
        require_all(&mut schema);
        (name, tidy(schema))
    };
    derived.into_iter().map(tidied).collect()
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn nullable(schema: &Value) -> Value {
    json!({"oneOf": [schema, {"type": "null"}]})
}

/// Every member is always present.
fn require_all(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get("properties") {
                let names: Vec<_> = properties.keys().cloned().collect();
                members.insert("required".to_owned(), names.into());
            }
            members.values_mut().for_each(require_all);
        }
        Value::Array(items) => items.iter_mut().for_each(require_all),
        _ => {}
    }
}

/// Puts the description of a member that may be `null` next to the choice, and joins its lines.
fn tidy(schema: Value) -> Value {
    let Value::Object(members) = schema else {
        return match schema {
            Value::Array(items) => items.into_iter().map(tidy).collect(),
            other => other,
        };
    };
    let mut tidied: Map<String, Value> = members
        .into_iter()
        .map(|(name, value)| match value {
            Value::String(text) if name == "description" => (name, text.replace('\n', " ").into()),
            value => (name, tidy(value)),
        })
        .collect();
    let described = tidied
        .get_mut("oneOf")
        .and_then(|choice| choice.get_mut(0)?.as_object_mut()?.remove("description"));
    if let Some(description) = described {
        tidied.insert("description".to_owned(), description);
    }
    Value::Object(tidied)
}

/// `freshness`, which is not part of the derived type, and the lists of the history.
fn complete_customer(schemas: &mut Map<String, Value>) {
    let parts = Part::ALL.map(Part::as_str).into_iter();
    let parts = parts.chain(HistoryPart::ALL.map(HistoryPart::as_str));
    let as_of = nullable(&reference("AsOf"));
    let names: Vec<_> = parts.collect();
    let members: Map<_, _> = names
        .iter()
        .map(|part| ((*part).to_owned(), as_of.clone()))
        .collect();
    schemas.insert(
        "Freshness".to_owned(),
        json!({
            "type": "object", "description": "When each part was fetched; `null` of a part that is not shown.",
            "required": names, "properties": members,
        }),
    );
    let redeemed = redeemed_voucher(schemas);
    schemas.insert("RedeemedVoucher".to_owned(), redeemed);
    let transactions = schemas.remove("Page_PointTransaction").expect("a page");
    let transaction = transactions["properties"]["items"]["items"].clone();
    schemas.insert("PointTransaction".to_owned(), transaction);
    let mut page = schemas.remove("Page_RedeemedVoucher").expect("a page");
    for item in ["PointTransaction", "RedeemedVoucher"] {
        page["properties"]["items"]["items"] = reference(item);
        page["description"] = "A page of a list.".into();
        schemas.insert(format!("{item}Page"), page.clone());
    }
    let customer = &mut schemas["Customer"];
    customer["description"] = "A customer.".into();
    let properties = &mut customer["properties"];
    properties["freshness"] = reference("Freshness");
    let profile = properties["profile"]["description"].take();
    properties["profile"] = reference("Profile");
    properties["profile"]["description"] = profile;
    for (member, item) in [
        ("pointTransactions", "PointTransactionPage"),
        ("redeemedVouchers", "RedeemedVoucherPage"),
    ] {
        properties[member]["oneOf"][0] = reference(item);
    }
    require_all(customer);
}

/// A voucher with the further members of a redeemed one.
fn redeemed_voucher(schemas: &Map<String, Value>) -> Value {
    let own = &schemas["Page_RedeemedVoucher"]["properties"]["items"]["items"]["allOf"][1];
    let mut redeemed = schemas["Voucher"].clone();
    redeemed["description"] = "A voucher that was redeemed.".into();
    for (name, schema) in own["properties"].as_object().expect("members") {
        redeemed["properties"][name] = schema.clone();
    }
    require_all(&mut redeemed);
    redeemed
}

/// A value of `kind`, the name of its schema, and what other members are then.
type Variant = (&'static str, &'static str, Vec<(&'static str, Value)>);

fn offers() -> Vec<Variant> {
    let number =
        json!({"type": ["number", "null"], "format": "decimal", "description": "Per cent."});
    let text = |description: &str| json!({"type": ["string", "null"], "description": description});
    vec![
        ("percent", "PercentOffer", vec![("value", number)]),
        (
            "money",
            "MoneyOffer",
            vec![("value", nullable(&reference("Money")))],
        ),
        (
            "external",
            "ExternalOffer",
            vec![(
                "value",
                text("For the shop platform: the id of its price rule."),
            )],
        ),
        ("manual", "ManualOffer", vec![("value", text("For staff."))]),
        (
            "other",
            "OtherOffer",
            vec![("value", text("Of a kind that is not known."))],
        ),
    ]
}

fn expiring() -> Vec<Variant> {
    let (text, null) = (json!({"type": "string"}), json!({"type": "null"}));
    let number = json!({"type": "number", "format": "decimal", "description": "How many points."});
    vec![
        (
            "voucher",
            "ExpiringVoucher",
            vec![
                ("amount", nullable(&reference("Money"))),
                ("definitionId", null.clone()),
                ("id", text.clone()),
            ],
        ),
        (
            "promotion",
            "ExpiringPromotion",
            vec![
                ("amount", null.clone()),
                ("code", null.clone()),
                ("definitionId", null.clone()),
                ("id", text),
            ],
        ),
        (
            "points",
            "ExpiringPoints",
            vec![("amount", number), ("code", null)],
        ),
    ]
}

/// Replaces a schema by a choice of one for each value of `kind`, on which the type of `member` depends.
fn vary(schemas: &mut Map<String, Value>, name: &str, member: &str, variants: &[Variant]) {
    let base = schemas.remove(name).expect("a derived schema");
    assert!(base["properties"].get(member).is_some(), "{member}");
    let (mut one_of, mut mapping) = (Vec::new(), Map::new());
    for (kind, variant, members) in variants {
        let mut schema = base.clone();
        schema["properties"]["kind"] = json!({"type": "string", "const": kind});
        for (member, of_variant) in members {
            schema["properties"][member] = of_variant.clone();
        }
        schemas.insert((*variant).to_owned(), schema);
        one_of.push(reference(variant));
        mapping.insert(
            (*kind).to_owned(),
            format!("#/components/schemas/{variant}").into(),
        );
    }
    let choice = json!({
        "description": base["description"], "oneOf": one_of,
        "discriminator": {"propertyName": "kind", "mapping": mapping},
    });
    schemas.insert(name.to_owned(), choice);
}

/// The schema of the same value about no customer: objects stay, lists are empty, and everything else is `null`.
fn guest(schemas: &Map<String, Value>, schema: &Value) -> Value {
    let name = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next());
    let schema = name.map_or(schema, |name| &schemas[name]);
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let member = |(name, member): (&String, &Value)| {
                let member = guest_member(schemas, name, member);
                (name.clone(), member)
            };
            let members: Map<_, _> = properties.iter().map(member).collect();
            let mut guest = json!({"type": "object", "properties": members});
            require_all(&mut guest);
            guest
        }
        None if schema["type"] == "array" => json!({"type": "array", "maxItems": 0, "items": {}}),
        None => json!({"type": "null"}),
    }
}

fn guest_member(schemas: &Map<String, Value>, name: &str, member: &Value) -> Value {
    match name {
        "degraded" => json!({"type": "array", "items": reference("PartName"),
            "description": "Every part that was requested."}),
        "attributes" => json!({"type": "object", "maxProperties": 0}),
        // `null` for a protected identity alone.
        "contactability" | "preferences" | "address" => guest(schemas, &member["oneOf"][0]),
        _ => guest(schemas, member),
    }
}

pub(super) fn add_problems(schemas: &mut Map<String, Value>) {
    let mut nested = Vec::new();
    Problem::schemas(&mut nested);
    schemas.extend(tidied(nested));
    let problem = serde_json::to_value(Problem::schema()).expect("a schema has a JSON form");
    let mut problem = tidy(problem);
    let members = problem["properties"].as_object_mut().expect("members");
    // What is left out where there is none is never `null`.
    for member in members.values_mut() {
        if let Some(first) = member["type"].get(0).cloned() {
            member["type"] = first;
        }
    }
    members["requestId"]["maxLength"] = 64.into();
    members["code"] = json!({
        "description": "For programs.",
        "anyOf": [
            reference("ProblemCode"),
            {"type": "string", "description": "A code of Engage's, in a 400."},
        ],
    });
    schemas.insert("Problem".to_owned(), problem);
    let codes = json!({
        "type": "string", "enum": codes(),
        "description": "The codes that this service defines. Open: there may be others.",
    });
    schemas.insert("ProblemCode".to_owned(), codes);
}

fn codes() -> Value {
    Code::OWN.iter().map(Code::as_str).collect()
}
