//! Reads which version of which contact a response contains, in the record and in the rendered bytes.

use engage_bff::{
    cache::{
        fence::Sequence,
        freshness::FetchSource,
        parts::{Entry, Origins, Parts},
    },
    clock::Tick,
    customer::Found,
    domain::Part,
};
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use crate::{
    model::{CheckResult, demand},
    responses::{VOUCHERS, read_balance, read_label},
    world::{Change, contact},
};

/// A part in an answer.
#[derive(Clone, Debug)]
pub(crate) struct ServedPart {
    pub(crate) contact: usize,
    pub(crate) part: Part,
    /// One version for each checked item: vouchers have several, because their pages may be read at different times.
    pub(crate) versions: Vec<Change>,
    pub(crate) requested_at: Tick,
    pub(crate) sequence: Sequence,
    pub(crate) source: FetchSource,
}

/// Every part in an answer, the profile first.
pub(crate) fn served_parts(found: &Found) -> Result<Vec<ServedPart>, TestCaseError> {
    let Some(parts) = found.record.parts() else {
        return Err(TestCaseError::fail("broken promise P1: a damaged record"));
    };
    let mut all = Vec::new();
    for part in found.shown.iter() {
        let Some(provenance) = parts.provenance(part) else {
            continue;
        };
        let labels = labels(&parts, part);
        let whole = match part {
            Part::Vouchers => VOUCHERS,
            Part::Profile | Part::Audiences | Part::Promotions | Part::Points => 1,
        };
        demand!(labels.len() == whole, "P1", "{part:?} contains {labels:?}");
        demand!(
            labels.iter().all(|(contact, _)| *contact == labels[0].0),
            "P1",
            "{part:?} of several contacts: {labels:?}"
        );
        all.push(ServedPart {
            contact: labels[0].0,
            part,
            versions: labels.iter().map(|(_, version)| *version).collect(),
            requested_at: provenance.requested_at,
            sequence: provenance.sequence,
            source: provenance.source,
        });
    }
    demand!(!all.is_empty(), "P1", "the answer is empty");
    demand!(
        contact(&found.record.id.to_string()) == Some(all[0].contact),
        "P1",
        "the record is not of contact {}",
        all[0].contact
    );
    Ok(all)
}

fn labels(parts: &Parts, part: Part) -> Vec<(usize, Change)> {
    fn of<T>(entry: Option<&Entry<T>>, texts: impl Fn(&T) -> Vec<String>) -> Vec<String> {
        entry.map_or(Vec::new(), |entry| texts(&entry.data))
    }
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let texts = match part {
        Part::Profile => of(parts.profile.as_ref(), |profile| {
            vec![text(profile.first_name.as_deref())]
        }),
        Part::Audiences => of(parts.audiences.as_ref(), |known| {
            let names = known.audiences.iter();
            names.map(|one| text(one.name.as_deref())).collect()
        }),
        Part::Promotions => of(parts.promotions.as_ref(), |promotions| {
            promotions.iter().map(|one| one.id.to_string()).collect()
        }),
        Part::Vouchers => of(parts.vouchers.as_ref(), |vouchers| {
            vouchers.iter().map(|one| one.id.to_string()).collect()
        }),
        Part::Points => of(parts.points.as_ref(), |points| {
            let accounts = points.accounts.iter();
            accounts.map(|one| one.balance.to_string()).collect()
        }),
    };
    texts.iter().filter_map(|text| read(part, text)).collect()
}

fn read(part: Part, text: &str) -> Option<(usize, Change)> {
    match part {
        Part::Points => read_balance(text),
        Part::Profile | Part::Audiences | Part::Promotions | Part::Vouchers => read_label(text),
    }
}

/// Checks the rendered bytes: they are about the same contact (P1), and contain the same versions (P3) and the same
/// `degraded` list (P2) as the record.
pub(crate) fn check_rendered(found: &Found, served: &[ServedPart], body: &[u8]) -> CheckResult {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| TestCaseError::fail(format!("broken promise P1: no JSON: {error}")))?;
    let id = body["contactId"].as_str().and_then(contact);
    demand!(id == Some(served[0].contact), "P1", "rendered {id:?}");
    for part in Part::ALL {
        let shown: Vec<_> = texts(&body, part)
            .iter()
            .filter_map(|text| read(part, text))
            .collect();
        let held = served.iter().find(|served| served.part == part);
        let expected: Vec<_> = held
            .iter()
            .flat_map(|served| {
                served
                    .versions
                    .iter()
                    .map(|version| (served.contact, *version))
            })
            .collect();
        demand!(
            shown == expected,
            "P3",
            "{part:?} is rendered as {shown:?} and cached as {expected:?}"
        );
    }
    let degraded: Vec<_> = found.degraded.iter().map(Part::as_str).collect();
    demand!(
        body["degraded"] == serde_json::json!(degraded),
        "P2",
        "degraded is rendered as {}",
        body["degraded"]
    );
    Ok(())
}

fn texts(body: &Value, part: Part) -> Vec<String> {
    let all = |list: &Value, key: &str| -> Vec<String> {
        let items = list.as_array().into_iter().flatten();
        items
            .map(|item| match &item[key] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect()
    };
    match part {
        Part::Profile => vec![
            body["profile"]["firstName"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        ],
        Part::Audiences => all(&body["audiences"], "name"),
        Part::Promotions => all(&body["promotions"], "id"),
        Part::Vouchers => all(&body["vouchers"], "id"),
        Part::Points => all(&body["points"]["accounts"], "balance"),
    }
}
