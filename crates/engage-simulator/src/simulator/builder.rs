//! Builder of a simulator.

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use super::{Inner, Rate, Simulator};
use crate::{
    SimulatorClock, calls::Calls, control, fault::NetworkConditions, hold::Holds, server,
    webhook::Webhooks, world::World,
};

/// Configuration of a simulator.
#[derive(Debug, Clone)]
pub struct SimulatorBuilder {
    seed: u64,
    contacts: usize,
    api_key: String,
    clock: SimulatorClock,
    overview_lag: Duration,
    listen: SocketAddr,
    rate_limit: Option<u32>,
}

impl Default for SimulatorBuilder {
    fn default() -> Self {
        Self {
            seed: 1,
            contacts: 2000,
            api_key: "test-engage-key".to_owned(),
            clock: SimulatorClock::system(),
            overview_lag: Duration::ZERO,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            rate_limit: Some(200),
        }
    }
}

impl SimulatorBuilder {
    /// Seed of the contacts: the same seed, clock and number give the same contacts.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Number of generated contacts, in addition to the fixed ones.
    #[must_use]
    pub fn contacts(mut self, contacts: usize) -> Self {
        self.contacts = contacts;
        self
    }

    /// The API key that calls must have.
    #[must_use]
    pub fn api_key(mut self, api_key: impl Into<String>) -> Self {
        self.api_key = api_key.into();
        self
    }

    /// The simulator's clock.
    #[must_use]
    pub fn clock(mut self, clock: SimulatorClock) -> Self {
        self.clock = clock;
        self
    }

    /// Age of the overview's data.
    #[must_use]
    pub fn overview_lag(mut self, lag: Duration) -> Self {
        self.overview_lag = lag;
        self
    }

    /// Address to listen on; port 0 takes a free one.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Calls per second before 429; 200 by default.
    #[must_use]
    pub fn rate_limit(mut self, per_second: Option<u32>) -> Self {
        self.rate_limit = per_second;
        self
    }

    /// Binds the listener and serves in the background; fails if the address cannot be bound.
    pub async fn start(self) -> io::Result<Simulator> {
        let (listener, address) = server::bind(self.listen).await?;
        let mut world = World::new(self.seed, self.contacts, self.clock.now());
        world.settings.overview_lag = self.overview_lag;
        let (stop, stopping) = watch::channel(false);
        let engage = Simulator(Arc::new(Inner {
            api_key: self.api_key,
            address,
            clock: self.clock,
            world: Mutex::new(world),
            conditions: Mutex::new(NetworkConditions::default()),
            rate: Mutex::new(Rate {
                limit: self.rate_limit,
                recent: VecDeque::new(),
            }),
            calls: Calls::new(),
            holds: Holds::default(),
            webhooks: Webhooks::start(),
            stop,
            server: Mutex::default(),
        }));
        let router = control::router(engage.clone());
        let server = tokio::spawn(server::serve(listener, router, stopping));
        *super::lock(&engage.0.server) = Some(server);
        Ok(engage)
    }
}
