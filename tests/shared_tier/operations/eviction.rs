//! A server that evicts keys while flights are running: data that was acknowledged as invalid is never served again.

use std::collections::HashMap;

use bytes::Bytes;
use engage_bff::{
    domain::{Part, PartMap, PartSet},
    shared_tier::protocol::{
        Backend as _, BackendError, ContactName, FetchCommand, FetchOutcome, InvalidateCommand,
        NewValue, StoreCommand, Subject,
    },
};

use crate::harness::{ANNA, DAY, HOUR, Lease, Tier, fetch, parts_of, purge, store, wait};

const CONTACT: Subject = Subject::Contact(ANNA);
const CONTACTS: u8 = 150;

#[tokio::test]
async fn evicted_marks_are_noticed() {
    let tier = Tier::start().await;
    tier.invalidate(parts_of(ANNA, &[Part::Points])).await;
    let marks = format!("{}e", tier.stream().trim_end_matches('s'));
    tier.server.command(&["DEL", &marks]);
    let lease = tier.lease(CONTACT).await;
    let reply = tier.fetch(fetch(CONTACT)).await;
    for (part, mark) in reply.entity_only.iter() {
        assert_eq!(
            !mark.is_zero(),
            PartSet::INVALIDATABLE.contains(part),
            "{part:?}"
        );
    }
    let overview = StoreCommand {
        from_overview: PartSet::ALL,
        ..store(lease, ANNA, "overview")
    };
    let reply = tier.store(overview.clone()).await;
    assert_eq!(reply.stored, PartSet::of(&[Part::Audiences]));
    // A mark of another contact begins a new set, after which it is uncertain whether this contact had marks.
    tier.invalidate(parts_of(crate::harness::BERT, &[Part::Profile]))
        .await;
    let reply = tier.store(overview).await;
    assert_eq!(reply.stored, PartSet::EMPTY);
}

#[tokio::test]
async fn evicted_expired_marks_have_no_effect() {
    let tier = Tier::start().await;
    let short = InvalidateCommand {
        entity_only: std::time::Duration::from_millis(30),
        ..parts_of(ANNA, &[Part::Points])
    };
    tier.invalidate(short).await;
    wait(std::time::Duration::from_millis(50)).await;
    let marks = format!("{}e", tier.stream().trim_end_matches('s'));
    tier.server.command(&["DEL", &marks]);
    assert_eq!(tier.peek(CONTACT).await.entity_only, PartMap::default());
}

/// For each contact, Engage's data and what was acknowledged.
#[derive(Clone, Copy, Default)]
struct Truth {
    /// Raised by each change, before its invalidation.
    version: u32,
    /// The version as of the last acknowledged invalidation.
    acknowledged: u32,
    /// The version that the overview returns. Its lag is longer than the test. A new epoch has none of the previous
    /// epoch's marks, because contacts have other names in it; replicas remember those marks themselves, which the test
    /// imitates by raising this to the current version.
    overview: u32,
}

struct World {
    tier: Tier,
    random: fastrand::Rng,
    truth: HashMap<u8, Truth>,
    /// The running flights: the contact, the lease, and Engage's response.
    flights: Vec<(u8, Lease, u32, bool)>,
    served: u32,
}

fn name(number: u8) -> ContactName {
    ContactName([number; 16])
}

impl World {
    async fn start(policy: &str, seed: u64) -> Self {
        let tier = Tier::start_with(&["--maxmemory-policy", policy]).await;
        let used = tier
            .backend
            .inspect()
            .await
            .expect("a working server")
            .used_memory;
        tier.server.set("maxmemory", &(used + 600_000).to_string());
        Self {
            tier,
            random: fastrand::Rng::with_seed(seed),
            truth: HashMap::new(),
            flights: Vec::new(),
            served: 0,
        }
    }

    /// The result if the operation succeeded. If the epoch was evicted, begins the next one.
    async fn done<T>(&mut self, result: Result<T, BackendError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(BackendError::Epoch) => {
                self.tier.reopen().await;
                self.flights.clear();
                for truth in self.truth.values_mut() {
                    truth.overview = truth.version;
                }
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Changes the contact and applies Engage's webhook.
    async fn change(&mut self, contact: u8) {
        let truth = self.truth.entry(contact).or_default();
        truth.version += 1;
        let version = truth.version;
        let command = if self.random.u8(..4) == 0 {
            purge(name(contact))
        } else {
            parts_of(
                name(contact),
                &[
                    Part::Profile,
                    Part::Promotions,
                    Part::Vouchers,
                    Part::Points,
                ],
            )
        };
        let result = self.tier.backend.invalidate(self.tier.epoch, command).await;
        // The end of the epoch drops everything, so it invalidates as well.
        self.done(result).await;
        self.truth.entry(contact).or_default().acknowledged = version;
    }

    async fn fetch(&mut self, contact: u8) {
        let command = FetchCommand {
            needed: PartSet::of(&[Part::Points]),
            waits: false,
            max_age: PartMap::splat(DAY),
            ..fetch(Subject::Contact(name(contact)))
        };
        let token = command.lease.token;
        let result = self.tier.try_fetch(command).await;
        let Some(reply) = self.done(result).await else {
            return;
        };
        let truth = self.truth.get(&contact).copied().unwrap_or_default();
        for (part, value) in reply.parts.iter() {
            let Some(value) = value.as_ref().filter(|_| part != Part::Audiences) else {
                continue;
            };
            let version = u32::from_le_bytes(value.sealed[..4].try_into().expect("four bytes"));
            assert!(
                version >= truth.acknowledged,
                "{part:?}: {version} < {}",
                truth.acknowledged
            );
            self.served += 1;
        }
        if let FetchOutcome::Leased(grant) = reply.outcome {
            let is_overview = self.random.bool();
            let version = if is_overview {
                truth.overview
            } else {
                truth.version
            };
            let subject = Subject::Contact(name(contact));
            let lease = Lease {
                subject,
                token,
                grant,
                at: reply.now,
            };
            self.flights.push((contact, lease, version, is_overview));
        }
    }

    async fn finish_flight(&mut self) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.random.usize(..self.flights.len());
        let (contact, lease, version, is_overview) = self.flights.swap_remove(flight);
        let mut sealed = version.to_le_bytes().to_vec();
        sealed.resize(1000, b'x');
        let sealed = Bytes::from(sealed);
        let mut command = store(lease, name(contact), "");
        command.parts = PartMap::from_fn(|_| {
            Some(NewValue {
                lifetime: HOUR,
                sealed: sealed.clone(),
            })
        });
        if is_overview {
            command.from_overview = PartSet::ALL;
        }
        let result = self.tier.backend.store(self.tier.epoch, command).await;
        self.done(result).await;
    }

    async fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            let contact = self.random.u8(..CONTACTS);
            match self.random.u8(..10) {
                0 => self.change(contact).await,
                1..=5 => self.fetch(contact).await,
                _ => self.finish_flight().await,
            }
        }
        let evicted = self
            .tier
            .server
            .info("stats", "evicted_keys")
            .expect("it is counted");
        let evicted: u32 = evicted.parse().expect("a number");
        assert!(
            evicted > 100 && self.served > 500,
            "{evicted} evicted, {} served",
            self.served
        );
    }
}

#[tokio::test]
async fn lru_eviction_lets_no_old_data_in() {
    World::start("allkeys-lru", 1).await.run(4000).await;
}

#[tokio::test]
async fn eviction_of_random_keys_lets_no_old_data_in() {
    World::start("allkeys-random", 2).await.run(4000).await;
}

#[tokio::test]
async fn shortest_ttl_eviction_lets_no_old_data_in() {
    World::start("volatile-ttl", 3).await.run(4000).await;
}
