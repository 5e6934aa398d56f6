//! Engage's contacts. Each version of each part contains its contact and its number.

use std::time::Duration;

use engage_bff::{clock::Tick, domain::Part};
use engage_simulator::{
    DEFAULT_WEBHOOK_SECRET, Endpoint, Hold, Simulator, SimulatorClock, VoucherSeed, WebhookTarget,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How many contacts there are.
pub(crate) const CONTACTS: usize = 2;
/// The parts that change.
pub(crate) const PARTS: [Part; 3] = [Part::Profile, Part::Vouchers, Part::Points];
/// The API key of Engage.
pub(crate) const API_KEY: &str = "test-engage-key";

/// The number of a change: later changes have greater numbers.
pub(crate) type Version = usize;

/// Engage.
pub(crate) struct Engage {
    pub(crate) simulator: Simulator,
    ids: Vec<String>,
    /// For each contact and part: each version, and when it began.
    versions: Vec<[Vec<(Version, Tick)>; PARTS.len()]>,
    last: Version,
    /// How far the overview lags.
    pub(crate) lag: Duration,
    hold: Option<Hold>,
}

impl Engage {
    pub(crate) async fn start(start: Timestamp, lag: Duration, began: Tick) -> Self {
        let simulator = Simulator::builder()
            .seed(7)
            .contacts(0)
            .api_key(API_KEY)
            .clock(SimulatorClock::manual(start))
            .overview_lag(lag)
            .rate_limit(None)
            .start()
            .await
            .expect("the simulator starts");
        simulator.webhooks_to(Some(WebhookTarget {
            url: "http://127.0.0.1:9/".to_owned(),
            secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
            encryption_key: None,
        }));
        simulator.webhooks_to(None);
        let mut engage = Self {
            simulator,
            ids: Vec::new(),
            versions: Vec::new(),
            last: 0,
            lag,
            hold: None,
        };
        for contact in 0..CONTACTS {
            let attributes = json!({ "email": address(contact), "firstName": "none" });
            let id = engage.simulator.create(attributes, "Member");
            engage.ids.push(id);
            engage.versions.push([const { Vec::new() }; PARTS.len()]);
            for part in PARTS {
                engage.edit(contact, part, began);
            }
        }
        let id = engage.simulator.create(json!({}), "Member");
        engage.ids.push(id);
        engage
    }

    /// The id of a contact.
    pub(crate) fn id(&self, contact: usize) -> &str {
        &self.ids[contact]
    }

    /// The id of a contact that is not read.
    pub(crate) fn other_id(&self) -> &str {
        &self.ids[CONTACTS]
    }

    /// Makes a new version of a part.
    pub(crate) fn edit(&mut self, contact: usize, part: Part, now: Tick) {
        self.last += 1;
        let version = self.last;
        let editor = self.simulator.contact(&self.ids[contact]);
        let label = format!("c{contact}v{version}");
        let before = self.versions[contact][index(part)].last().copied();
        match part {
            Part::Profile => drop(editor.attribute("firstName", label.into())),
            Part::Points => drop(editor.points(&(contact * 1_000_000 + version).to_string())),
            Part::Vouchers => {
                let editor = match before {
                    Some((before, _)) => editor.remove_voucher(&voucher_id(before)),
                    None => editor,
                };
                let voucher = VoucherSeed::worth("100", "SEK");
                drop(editor.add_voucher(voucher.id(&voucher_id(version)).name(&label)));
            }
            Part::Audiences | Part::Promotions => unreachable!("these do not change"),
        }
        self.versions[contact][index(part)].push((version, now));
    }

    /// The present version of a part.
    pub(crate) fn version(&self, contact: usize, part: Part) -> Version {
        let versions = &self.versions[contact][index(part)];
        versions.last().expect("there is a first").0
    }

    /// The version that was current at that time.
    pub(crate) fn version_at(&self, contact: usize, part: Part, time: Tick) -> Version {
        let versions = self.versions[contact][index(part)].iter();
        let then = versions.rev().find(|(_, since)| *since <= time);
        then.map_or(0, |(version, _)| *version)
    }

    /// When a version was replaced; `None` if it is the current one.
    pub(crate) fn ended(&self, contact: usize, part: Part, version: Version) -> Option<Tick> {
        let versions = self.versions[contact][index(part)].iter();
        let mut later = versions.filter(|(number, _)| *number > version);
        later.next().map(|(_, since)| *since)
    }

    /// Holds every call from now on; their responses are computed on arrival, or on release.
    pub(crate) fn hold(&mut self, computes_late: bool) {
        // The old hold is dropped first, which releases its calls.
        self.hold = None;
        self.hold = Some(if computes_late {
            self.simulator.hold_before(Endpoint::All)
        } else {
            self.simulator.hold(Endpoint::All)
        });
    }

    pub(crate) fn release_one(&self) {
        if let Some(hold) = &self.hold {
            hold.release_one();
        }
    }

    pub(crate) fn release(&mut self) {
        self.hold = None;
    }

    pub(crate) fn is_held(&self) -> bool {
        self.hold.is_some()
    }
}

fn index(part: Part) -> usize {
    let position = PARTS.iter().position(|known| *known == part);
    position.expect("a part that changes")
}

fn voucher_id(version: Version) -> String {
    format!("8d31c000-2001-4c22-b002-{version:012x}")
}

/// The e-mail address of a contact.
pub(crate) fn address(contact: usize) -> String {
    format!("c{contact}@example.com")
}

/// The contact and the version of a part in a response. `None` if the part is missing.
pub(crate) fn read_label(body: &Value, part: Part) -> Option<(usize, Version)> {
    match part {
        Part::Profile => split(body["profile"]["firstName"].as_str()?),
        Part::Vouchers => split(body["vouchers"][0]["name"].as_str()?),
        Part::Points => {
            let number = body["points"]["accounts"][0]["balance"].as_u64()?;
            let number = usize::try_from(number).ok()?;
            Some((number / 1_000_000, number % 1_000_000))
        }
        Part::Audiences | Part::Promotions => None,
    }
}

fn split(label: &str) -> Option<(usize, Version)> {
    let (contact, version) = label.strip_prefix('c')?.split_once('v')?;
    Some((contact.parse().ok()?, version.parse().ok()?))
}
