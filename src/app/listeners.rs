//! The two listeners, bound.

use std::net::SocketAddr;

use anyhow::Context;

use super::settings::{limits, operations_limits};
use crate::{
    config::Config,
    http::{ConnectionCounters, ConnectionLimits, ConnectionMetrics, Listener},
};

/// Binds the data listener and the operations listener.
pub(super) async fn bind_both(
    config: &Config,
    connections: &ConnectionMetrics,
) -> Result<(Listener, Listener), anyhow::Error> {
    let (data, operations) = (config.server.listen, config.operations.listen);
    let data = bind(
        "server.listen",
        data,
        limits(config),
        connections.of("data"),
    )
    .await?;
    let limits = operations_limits(config);
    let operations = bind(
        "operations.listen",
        operations,
        limits,
        connections.of("operations"),
    );
    Ok((data, operations.await?))
}

async fn bind(
    key: &str,
    address: SocketAddr,
    limits: ConnectionLimits,
    counts: ConnectionCounters,
) -> Result<Listener, anyhow::Error> {
    Listener::bind(address, limits, counts)
        .await
        .with_context(|| format!("{key}: can't bind {address}"))
}
