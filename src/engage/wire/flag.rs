//! Flags that protect a contact or end a promotion or voucher. They fail closed: everything but a clear "no" is a
//! "yes".

use serde_json::value::RawValue;

use super::time;
use crate::json::{self, Object};

/// The flag of a protected identity.
const PROTECTED: &str = "secrecyMarked";

/// Whether the contact's identity is protected: by a flag in any of its places, in any letter case, even if repeated. A
/// place that is not an object counts as protected.
pub(super) fn is_protected(answer: &Object<'_>) -> bool {
    let places = ["attributes", "meta"].into_iter();
    let mut places = places.flat_map(|key| answer.every(key));
    is_set(answer, PROTECTED)
        || places.any(|place| Object::of(place).is_none_or(|object| is_set(&object, PROTECTED)))
}

/// Whether the item was redeemed, by either of two keys. Not every model of Engage has both.
pub(super) fn is_redeemed(item: &Object<'_>) -> bool {
    is_set(item, "redeemed") || item.every("redeemedOn").any(time::is_set)
}

/// Whether any value under the key, in any ASCII case, is not a "no".
fn is_set(object: &Object<'_>, key: &str) -> bool {
    object.every(key).any(|value| !is_no(value))
}

/// Whether the value means "no": `false`, also as a string, null or blank.
fn is_no(value: &RawValue) -> bool {
    if value.get() == "null" {
        return true;
    }
    json::text(value).is_some_and(|text| {
        let text = text.trim();
        text.is_empty() || text.eq_ignore_ascii_case("false")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO: [&str; 8] = [
        "{}",
        r#"{"KEY": null}"#,
        r#"{"KEY": ""}"#,
        r#"{"KEY": "  "}"#,
        r#"{"KEY": false}"#,
        r#"{"KEY": "false"}"#,
        r#"{"KEY": " False "}"#,
        r#"{"KEY": false, "KEY": null}"#,
    ];

    const YES: [&str; 11] = [
        r#"{"KEY": true}"#,
        r#"{"KEY": "TRUE"}"#,
        r#"{"KEY": 1}"#,
        r#"{"KEY": 0}"#,
        r#"{"KEY": "yes"}"#,
        r#"{"KEY": "no"}"#,
        r#"{"KEY": {}}"#,
        r#"{"KEY": [false]}"#,
        r#"{"KEY": false, "KEY": true}"#,
        r#"{"KEY": true, "KEY": false}"#,
        r#"{"KEY": false, "KEY": "maybe"}"#,
    ];

    fn spellings(key: &str) -> [String; 3] {
        [
            key.to_owned(),
            key.to_ascii_uppercase(),
            format!("{}{}", key[..1].to_ascii_uppercase(), &key[1..]),
        ]
    }

    #[test]
    fn flag_is_set_unless_every_value_is_no() {
        for (objects, expected) in [(&NO[..], false), (&YES[..], true)] {
            for object in objects {
                for key in spellings("secrecyMarked") {
                    let text = object.replace("KEY", &key);
                    let object = Object::parse(text.as_bytes()).expect("an object");
                    assert_eq!(is_set(&object, "secrecyMarked"), expected, "{text}");
                }
            }
        }
    }

    #[test]
    fn protection_flag_counts_in_every_place() {
        for (text, expected) in [
            (r#"{"attributes": {}}"#, false),
            (
                r#"{"attributes": {"secrecyMarked": false}, "meta": {"secrecyMarked": false}}"#,
                false,
            ),
            (r#"{"attributes": {"SecrecyMarked": true}}"#, true),
            (
                r#"{"attributes": {"secrecyMarked": false}, "meta": {"secrecyMarked": true}}"#,
                true,
            ),
            (r#"{"attributes": {}, "secrecymarked": "x"}"#, true),
        ] {
            let answer = Object::parse(text.as_bytes()).expect("an object");
            assert_eq!(is_protected(&answer), expected, "{text}");
        }
    }

    #[test]
    fn contradictory_redemption_flags_mean_redeemed() {
        for (text, expected) in [
            ("{}", false),
            (r#"{"redeemed": false, "redeemedOn": null}"#, false),
            (r#"{"redeemed": false, "redeemedOn": ""}"#, false),
            (
                r#"{"redeemed": false, "redeemedOn": "0001-01-01T00:00:00"}"#,
                false,
            ),
            (r#"{"redeemed": true}"#, true),
            (r#"{"Redeemed": true, "redeemed": false}"#, true),
            (
                r#"{"redeemed": false, "redeemedOn": "2026-11-01T00:00:00"}"#,
                true,
            ),
            (
                r#"{"redeemed": false, "RedeemedOn": "2026-11-01T00:00:00"}"#,
                true,
            ),
            (r#"{"redeemedOn": "31/12/2026"}"#, true),
            (r#"{"redeemedOn": 0}"#, true),
        ] {
            let item = Object::parse(text.as_bytes()).expect("an object");
            assert_eq!(is_redeemed(&item), expected, "{text}");
        }
    }
}
