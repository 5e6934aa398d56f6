//! The connections to Engage while the service runs: a reload replaces their API key and authorities.

use std::sync::Arc;

use super::transport::{NewConnections, Transport};
use crate::config;

/// The connections to Engage, whose API key and authorities can be replaced. Clones share them.
#[derive(Clone)]
pub struct Connections(Arc<Transport>);

impl Connections {
    pub(super) fn of(transport: Arc<Transport>) -> Self {
        Self(transport)
    }

    /// Prepares connections with the configured API key and authorities. Fails if the authorities can't be read.
    pub fn prepare(&self, config: &config::EngageConfig) -> Result<NewConnections, anyhow::Error> {
        self.0.prepare(config)
    }

    /// Makes calls over these connections from now on. Calls in flight finish on theirs.
    pub fn replace(&self, new: NewConnections) {
        self.0.replace(new);
    }
}
