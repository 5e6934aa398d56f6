//! Completes point transactions with the fields that Engage sends.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use crate::{
    clock::TimeFormat,
    contact::{Contact, Transaction},
    json::Json,
    seed::guid,
};

/// Completes a transaction; the error is a message.
pub(super) fn transaction(
    contact: &Contact,
    rng: &mut Rng,
    now: Timestamp,
    given: Json,
) -> Result<Transaction, String> {
    let Json::Object(fields) = given else {
        return Err("a transaction must be a JSON object".to_owned());
    };
    let mut definition = 1;
    let date = TimeFormat::Offset.write(now);
    let in_a_year = TimeFormat::Offset.write(now + SignedDuration::from_hours(24 * 365));
    let mut item = Json::object([
        ("id", guid(rng).into()),
        ("accountId", Json::Null),
        ("description", Json::Null),
        ("source", "Manual".into()),
        ("amount", Json::number("0")),
        ("type", "Addition".into()),
        ("transactionDate", date.as_str().into()),
        ("createdOn", date.as_str().into()),
        ("modifiedOn", date.as_str().into()),
        ("validFrom", date.as_str().into()),
        ("validTo", in_a_year.into()),
        ("retailTransactionLineItemId", Json::Null),
    ]);
    for (key, value) in fields {
        if key == "definitionId" {
            let number = value.to_string().parse();
            definition =
                number.map_err(|_| format!("`{value}` is not the id of a point definition"))?;
        } else {
            item.set(&key, value);
        }
    }
    let mut accounts = contact.accounts.iter();
    if let Some(account) = accounts.find(|account| account.definition == definition) {
        item.set("accountId", account.guid.as_str().into());
    }
    Ok(Transaction { definition, item })
}
