//! The ways in which the server fails.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;

use super::World;
use crate::{
    harness::{Mode, wait},
    redis_server::RedisServer,
};

/// A way to fail, and to recover.
#[derive(Clone, Copy, Debug)]
pub(super) enum Disturbance {
    /// It is killed, and starts again without its keys.
    RestartedEmpty,
    /// It is killed, and starts again with its keys.
    RestartedWithKeys,
    /// It is frozen, and runs again.
    Stopped,
    /// It becomes a replica, and then a primary again.
    ReadOnly,
    /// It has too little memory, and evicts keys.
    Evicting,
    /// It has too little memory, and evicts nothing.
    Full,
    /// It is flushed.
    Flushed,
    /// It is killed, and its replica takes over.
    FailedOver,
    /// One replica is cut off.
    CutOff,
    /// The connection of one replica hangs.
    Hung,
}

impl Disturbance {
    pub(super) const ALL: [Self; 10] = [
        Self::RestartedEmpty,
        Self::RestartedWithKeys,
        Self::Stopped,
        Self::ReadOnly,
        Self::Evicting,
        Self::Full,
        Self::Flushed,
        Self::FailedOver,
        Self::CutOff,
        Self::Hung,
    ];
}

pub(super) struct Chaos {
    world: Arc<World>,
    redis: RedisServer,
    random: Rng,
}

impl Chaos {
    pub(super) fn new(world: &Arc<World>, redis: RedisServer, seed: u64) -> Self {
        Self {
            world: Arc::clone(world),
            redis,
            random: Rng::with_seed(seed),
        }
    }

    /// Every way, in random order.
    pub(super) fn shuffled(&mut self) -> Vec<Disturbance> {
        let mut all = Disturbance::ALL.to_vec();
        self.random.shuffle(&mut all);
        all
    }

    /// Makes the server fail in this way, and recover.
    pub(super) async fn disturb(&mut self, how: Disturbance) {
        self.world.ledger.begin(format!("{how:?}"));
        let long = Duration::from_millis(self.random.u64(300..1800));
        match how {
            Disturbance::RestartedEmpty => {
                self.redis.kill();
                wait(long).await;
                self.redis.restart_empty();
            }
            Disturbance::RestartedWithKeys => self.redis.restart_with_keys(),
            Disturbance::Stopped => {
                self.redis.freeze();
                wait(long).await;
                self.redis.thaw();
            }
            Disturbance::ReadOnly => {
                self.redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
                wait(long).await;
                self.redis.promote();
            }
            Disturbance::Evicting => {
                self.redis.set("maxmemory-policy", "allkeys-random");
                for _ in 0..5 {
                    let used = self.redis.info("memory", "used_memory");
                    let used: u64 = used.and_then(|used| used.parse().ok()).expect("a number");
                    let less = used.saturating_sub(self.random.u64(..40_000)).to_string();
                    self.redis.set("maxmemory", &less);
                    wait(long / 5).await;
                }
                self.redis.set("maxmemory", "0");
            }
            Disturbance::Full => {
                self.redis.set("maxmemory-policy", "noeviction");
                self.redis.set("maxmemory", "1");
                wait(long).await;
                self.redis.set("maxmemory", "0");
            }
            Disturbance::Flushed => self.redis.flush(),
            Disturbance::FailedOver => self.fail_over(long).await,
            Disturbance::CutOff | Disturbance::Hung => {
                let replica = &self.world.replicas[self.random.usize(..3)];
                replica.way.set(match how {
                    Disturbance::CutOff => Mode::Cut,
                    _ => Mode::Hung,
                });
                // The other replicas continue, and this one distrusts its memory.
                wait(2 * long + Duration::from_secs(2)).await;
                replica.way.set(Mode::Open);
            }
        }
        for replica in &self.world.replicas {
            replica.until_available().await;
        }
        // Time for a time-out that has not been noticed yet.
        wait(Duration::from_millis(500)).await;
        for replica in &self.world.replicas {
            replica.until_available().await;
        }
        self.world.ledger.end();
    }

    async fn fail_over(&mut self, long: Duration) {
        let standby = RedisServer::start();
        standby.replicate(&self.redis);
        // Invalidations that have not reached the standby when the primary is killed are lost.
        wait(long / 4).await;
        self.redis.kill();
        standby.promote();
        wait(long / 2).await;
        for replica in &self.world.replicas {
            replica.way.redirect(standby.port());
        }
        self.redis = standby;
    }
}
