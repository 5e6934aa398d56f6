//! The tasks that read and the tasks that change contacts.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use fastrand::Rng;
use serde_json::{Value, json};

use super::{
    World,
    ledger::{Field, Seen},
};
use crate::harness::{Answer, wait};

/// The pause between attempts to deliver or to purge: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(super) struct Traffic {
    world: Arc<World>,
    random: Rng,
}

impl Traffic {
    pub(super) fn new(world: &Arc<World>, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            random: Rng::with_seed(seed),
        }
    }

    fn is_over(&self) -> bool {
        self.world.is_over.load(Ordering::Relaxed)
    }

    /// A random contact; the first ones more often.
    fn contact(&mut self) -> usize {
        let people = self.world.people.len();
        let most = self.random.usize(1..=people);
        self.random.usize(..most)
    }

    /// Reads until the run is over.
    pub(super) async fn read(mut self, pause: Duration) {
        while !self.is_over() {
            let contact = self.contact();
            let (id, email) = &self.world.people[contact];
            let query = if self.random.bool() {
                format!("contactId={id}")
            } else {
                format!("email={email}")
            };
            self.look(contact, &query).await;
            self.world.reads.fetch_add(1, Ordering::Relaxed);
            wait(pause).await;
        }
    }

    /// Reads once, and returns the versions.
    async fn look(&mut self, contact: usize, query: &str) -> Option<(u64, u64)> {
        let number = self.random.usize(..3);
        let replica = &self.world.replicas[number];
        let asked = self.world.clock.tick();
        let answer = Answer::try_of(replica.request(query)).await;
        let ledger = &self.world.ledger;
        let answer = match answer {
            Ok(answer) if answer.status == 200 && answer.at("/degraded") == json!([]) => answer,
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let end = &text[text.floor_char_boundary(text.len().saturating_sub(600))..];
                let took = self.world.clock.tick().since(asked);
                ledger.fail(&format!(
                    "{} {} after {took:?}: {end}",
                    answer.status,
                    answer.cache_status()
                ));
                return None;
            }
            Err(error) => {
                let took = self.world.clock.tick().since(asked);
                ledger.fail(&format!("{error:?} after {took:?}"));
                return None;
            }
        };
        ledger.note_status(answer.cache_status());
        let (name, points) = (version_of_name(&answer), version_of_points(&answer));
        for (field, version) in [(Field::Name, name), (Field::Points, points)] {
            ledger.read(Seen {
                replica: number,
                contact,
                field,
                version,
                asked,
            });
        }
        Some((name, points))
    }

    /// Makes changes until the run is over, one for this many reads of all readers.
    pub(super) async fn change(mut self, pause: Duration, reads: usize) {
        while !self.is_over() {
            let (done, read) = (&self.world.changes, &self.world.reads);
            if done.load(Ordering::Relaxed) * reads > read.load(Ordering::Relaxed) {
                wait(pause).await;
                continue;
            }
            let contact = self.contact();
            let id = self.world.people[contact].0.clone();
            match self.random.u8(..4) {
                0 => {
                    let version = self.set(contact, &[Field::Name]);
                    self.deliver("contact.updated", &id).await;
                    self.acknowledge(contact, &[Field::Name], version);
                }
                1 => {
                    let version = self.set(contact, &[Field::Points]);
                    self.deliver("point.balance.updated", &id).await;
                    self.acknowledge(contact, &[Field::Points], version);
                }
                2 => {
                    let both = [Field::Name, Field::Points];
                    let version = self.set(contact, &both);
                    self.purge(&id).await;
                    self.acknowledge(contact, &both, version);
                }
                _ => {
                    let both = [Field::Name, Field::Points];
                    let version = self.set(contact, &both);
                    let fresh = format!("contactId={id}&fresh=all");
                    let seen = self.look(contact, &fresh).await;
                    if let Some((name, points)) = seen
                        && name.min(points) < version
                    {
                        let what = format!("fresh data has {name} and {points}, not {version}");
                        self.world.ledger.fail(&what);
                    }
                    self.world.changes.fetch_add(1, Ordering::Relaxed);
                }
            }
            wait(pause).await;
        }
    }

    /// Gives fields of a contact a new version, greater than all earlier ones.
    fn set(&self, contact: usize, fields: &[Field]) -> u64 {
        let (id, _) = &self.world.people[contact];
        // Under one lock, so that versions become visible in order.
        let mut last = VERSIONS.lock().expect("no panic");
        *last += 1;
        let mut editor = self.world.engage.contact(id);
        if fields.contains(&Field::Name) {
            editor = editor.attribute("firstName", json!(format!("Version {last}")));
        }
        if fields.contains(&Field::Points) {
            editor.points(&last.to_string());
        }
        *last
    }

    fn acknowledge(&self, contact: usize, fields: &[Field], version: u64) {
        for field in fields {
            self.world.ledger.acknowledge(contact, *field, version);
        }
        self.world.changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits before the next attempt, longer each time: each attempt overtakes the calls about the contact at one
    /// replica, and a read that is overtaken a dozen times gives up.
    async fn wait_longer(&mut self, pause: &mut Duration) {
        wait(pause.mul_f64(0.5 + self.random.f64())).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    /// Delivers a webhook until it is accepted, as Engage's sender does.
    async fn deliver(&mut self, event: &str, id: &str) {
        let signed = self.world.engage.webhook(event, id);
        let mut pause = FIRST_PAUSE;
        loop {
            let number = self.random.usize(..3);
            let status = self.world.replicas[number].deliver(signed.clone()).await;
            match status {
                204 => return,
                503 => self.wait_longer(&mut pause).await,
                other => return self.world.ledger.fail(&format!("a webhook: {other}")),
            }
        }
    }

    /// Purges until it is accepted, as an operator does.
    async fn purge(&mut self, id: &str) {
        let mut pause = FIRST_PAUSE;
        loop {
            let number = self.random.usize(..3);
            match self.world.replicas[number].purge(id).await {
                204 => return,
                503 => self.wait_longer(&mut pause).await,
                other => return self.world.ledger.fail(&format!("a purge: {other}")),
            }
        }
    }
}

/// The last version that was given to any contact.
static VERSIONS: std::sync::Mutex<u64> = std::sync::Mutex::new(1_000_000);

fn version_of_name(answer: &Answer) -> u64 {
    let name = answer.at("/profile/firstName");
    let version = name.as_str().and_then(|name| name.strip_prefix("Version "));
    version
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

fn version_of_points(answer: &Answer) -> u64 {
    let balance: Value = answer.at("/points/balance");
    // The initial values of contacts are less than the first version.
    balance
        .as_u64()
        .filter(|&version| version > 1_000_000)
        .unwrap_or_default()
}
