//! Homoglyphs: characters that look like, fold to or normalise to others (Kelvin sign, dotless i, full width, combining
//! marks, invisible characters). None is accepted instead of the plain character.

use engage_simulator::fixtures::ALVA;
use serde_json::json;

use super::{Expected::Problem, Row, cached, get, post_json};
use crate::harness::percent_encoded;

const EMAILS: [&str; 22] = [
    "alva.test\u{17f}son@example.com",
    "\u{212a}alva@example.com",
    "alva.testsson@example.\u{2102}om",
    "alva.testsson\u{ff20}example.com",
    "alva.testsson\u{fe6b}example.com",
    "alva.testsson@example\u{3002}com",
    "alva.testsson@example\u{ff0e}com",
    "alva.testsson@example\u{ff61}com",
    "alva\u{2024}testsson@example.com",
    "\u{ff41}lva.testsson@example.com",
    "\u{430}lva.testsson@example.com",
    "\u{3b1}lva.testsson@example.com",
    "a\u{301}lva.testsson@example.com",
    "alva.testsson@example.com\u{200b}",
    "\u{feff}alva.testsson@example.com",
    "alva\u{200d}.testsson@example.com",
    "alva.testsson\u{202e}@example.com",
    "alva.testsson@ex\u{ad}ample.com",
    "alva.testsson@example.com\u{a0}",
    "mail\u{131}nfo@example.com",
    "MAIL\u{130}NFO@example.com",
    "\u{1d41a}lva.testsson@example.com",
];

const PHONES: [&str; 16] = [
    "\u{ff10}701740605",
    "070174060\u{ff15}",
    "\u{ff0b}46701740605",
    "\u{fe62}46701740605",
    "\u{2070}701740605",
    "070174060\u{2075}",
    "+4670174060\u{665}",
    "+4670174060\u{6f5}",
    "+4670174060\u{96b}",
    "+4670174060\u{1d7d3}",
    "\u{207a}46701740605",
    "+46701740605\u{200b}",
    "\u{feff}+46701740605",
    "+46\u{ad}701740605",
    "O701740605",
    "+46701740605\u{0}",
];

const TYPES: [&str; 14] = [
    "\u{41c}ember",
    "M\u{435}mber",
    "\u{ff2d}ember",
    "Me\u{301}mber",
    "Member\u{200b}",
    "\u{feff}Member",
    "Member\u{0}",
    "Member ",
    "Member\u{a0}",
    "\u{1d40c}ember",
    "Membe\u{280}",
    "Member\u{202e}",
    "Member/../Contact",
    "Member&any=1",
];

/// Replacements in the cached contact id.
const IN_IDS: [(&str, &str); 12] = [
    ("a", "\u{430}"),
    ("a", "\u{ff41}"),
    ("e", "\u{435}"),
    ("c", "\u{441}"),
    ("0", "O"),
    ("0", "\u{ff10}"),
    ("0", "\u{660}"),
    ("1", "l"),
    ("1", "\u{b9}"),
    ("-", "\u{2010}"),
    ("-", "\u{2212}"),
    ("-", "\u{ad}"),
];

pub(super) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for email in EMAILS {
        rows.extend(both("email", email, "InvalidEmailAddress"));
    }
    for phone in PHONES {
        rows.extend(both("mobilePhone", phone, "InvalidPhoneNumber"));
    }
    for contact_type in TYPES {
        let value = percent_encoded(contact_type);
        let query = get(&format!("{}&contactType={value}", cached()));
        let body = post_json(&json!({"contactId": ALVA.id, "contactType": contact_type}));
        let expected = Problem(400, "InvalidContactType");
        rows.push(Row::new(query, expected).never(&value));
        rows.push(Row::new(body, expected).never(contact_type));
    }
    for (plain, other) in IN_IDS {
        let id = ALVA.id.replacen(plain, other, 1);
        rows.extend(both("contactId", &id, "InvalidContactId"));
    }
    rows.extend(national_ids());
    rows.extend(words());
    rows
}

/// The value in a URL and in a body.
fn both(name: &str, value: &str, code: &'static str) -> [Row; 2] {
    let encoded = percent_encoded(value);
    let query = get(&format!("{name}={encoded}"));
    let body = post_json(&json!({ name: value }));
    [
        Row::new(query, Problem(400, code)).never(&encoded),
        Row::new(body, Problem(400, code)).never(value),
    ]
}

fn national_ids() -> Vec<Row> {
    [
        "19850709980\u{ff15}",
        "\u{ff11}98507099805",
        "19850709980\u{665}",
        "19850709\u{2212}9805",
        "19850709\u{2011}9805",
        "1985070 99805",
        "198507099805\u{200b}",
        "198507099805\u{0}",
        "l98507099805",
        "198507O99805",
        "131052-308\u{ff34}",
        "131052-308\u{422}",
    ]
    .into_iter()
    .map(|value| {
        let body = post_json(&json!({"socialSecurityNumber": value}));
        Row::new(body, Problem(400, "InvalidSocialSecurityNumber")).never(value)
    })
    .collect()
}

/// Homoglyphs in parameter values that are keywords.
fn words() -> Vec<Row> {
    [
        ("view", "fu\u{6c}\u{131}"),
        ("view", "\u{ff46}ull"),
        ("view", "full\u{200b}"),
        ("view", "store\u{fb01}ront"),
        ("channel", "EC\u{41e}M"),
        ("channel", "\u{ff30}OS"),
        ("channel", "PO\u{17f}"),
        ("parts", "po\u{131}nts"),
        ("parts", "point\u{17f}"),
        ("parts", "points\u{ff0c}vouchers"),
        ("parts", "points\u{60c}vouchers"),
        ("fresh", "a\u{2113}l"),
        ("fresh", "\u{430}ll"),
        ("expiringWithin", "1\u{ff14}d"),
        ("expiringWithin", "\u{661}d"),
        ("expiringWithin", "14\u{217e}"),
    ]
    .into_iter()
    .map(|(name, value)| {
        let value = percent_encoded(value);
        let query = get(&format!("{}&{name}={value}", cached()));
        Row::new(query, Problem(400, "InvalidParameter")).never(&value)
    })
    .collect()
}
