//! The life of a service: serving, and the steps of its shutdown in order.

use std::{io, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, shared_budget};
use crate::{
    clock::{Clock, Tick},
    http::{HttpService, Readiness},
    shared_tier::SharedTier,
    traces::Exporter,
};

impl App {
    /// Serves until `shutdown`. Then reports that it is not ready, keeps answering for `server.shutdown_delay` while
    /// each response closes its connection, and finishes the requests in flight. Fails if the grace period ends before
    /// they do.
    ///
    /// Connections to the data listener are accepted once the shared tier is joined, or two seconds after the start.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), io::Error> {
        let operations_address = self.operations_addr();
        let export = self.exporter.map(Exporter::start).transpose()?;
        // The operations listener serves until the last response is finished.
        let last = CancellationToken::new();
        let (listener, service) = self.operations;
        let services = [self.service.clone(), service.clone()];
        let operations = tokio::spawn(listener.serve(service, last.clone()));
        let drain = CancellationToken::new();
        let draining = tokio::spawn(drain_after_delay(
            shutdown.clone(),
            self.readiness,
            self.clock.clone(),
            self.shutdown_delay,
            drain.clone(),
        ));
        let credentials = self.credentials;
        let keys = tokio::spawn(async move { credentials.refresh_keys().await });
        let customers = self.customers;
        let maintenance =
            tokio::spawn(async move { customers.run_background_work(self.changes_poll).await });
        let admission = self.admission;
        let budget = self.shared.clone().map(|shared| {
            let run = shared_budget::run(admission.clone(), shared, self.clock.clone());
            tokio::spawn(run)
        });
        join(self.shared.as_ref(), &shutdown).await;
        tracing::info!(
            listen = %self.listener.local_addr(),
            operations = %operations_address,
            max_connections = self.listener.max_connections(),
            version = env!("CARGO_PKG_VERSION"),
            revision = option_env!("REVISION"),
            "serving"
        );
        let finished = self.listener.serve(self.service, drain).await;
        keys.abort();
        maintenance.abort();
        if let (Some(shared), Some(budget)) = (self.shared, budget) {
            budget.abort();
            shared_budget::leave(&admission, &shared).await;
            shared.leave().await;
        }
        last.cancel();
        // The listener ends only after the drain has begun.
        let began = draining.await.map_err(io::Error::other)?;
        let took = self.clock.tick().since(began);
        let left = self.shutdown_grace.saturating_sub(took);
        drop(tokio::time::timeout(left, operations).await);
        // Not left to the destructors: connections that have not ended still own the services.
        services.iter().for_each(HttpService::log_dropped_events);
        if let Some(export) = export {
            export.finish().await;
        }
        if finished {
            tracing::info!("stopped");
            return Ok(());
        }
        let what = "shutdown grace ended with responses in flight";
        tracing::warn!("{what}");
        Err(io::Error::other(what))
    }
}

/// Waits until the shared tier is joined, until two seconds after the start, or until `shutdown`. A replica that served
/// earlier would call Engage for data that the other replicas have, with only its own share of the call budget.
async fn join(shared: Option<&SharedTier>, shutdown: &CancellationToken) {
    if let Some(shared) = shared {
        tokio::select! {
            () = shared.started() => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Waits for `shutdown`, reports that the service is not ready, so that load balancers stop sending requests, and
/// starts the drain after the delay. Returns the time at which the drain started.
async fn drain_after_delay(
    shutdown: CancellationToken,
    readiness: Readiness,
    clock: Clock,
    delay: Duration,
    drain: CancellationToken,
) -> Tick {
    shutdown.cancelled().await;
    readiness.withdraw();
    tracing::info!(delay_seconds = delay.as_secs_f64(), "readiness withdrawn");
    clock.sleep_until(clock.tick() + delay).await;
    drain.cancel();
    clock.tick()
}
