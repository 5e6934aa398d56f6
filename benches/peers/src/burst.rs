//! Five hundred callers at once, for one contact.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{Failure, background::miss, caller::Caller, scene::Scene};

pub(crate) const CALLERS: usize = 500;
/// Engage's response time during the bursts.
pub(crate) const DELAY: Duration = Duration::from_millis(200);
/// How long a profile is fresh in this service.
pub(crate) const LIFETIME: &str = "2s";
const UNTIL_EXPIRED: Duration = Duration::from_millis(2500);

/// The cost of a burst.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Burst {
    /// Upstream calls.
    pub(crate) calls: u64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

/// The bursts for one contact: not cached, cached, expired.
pub(crate) struct Bursts {
    pub(crate) cold: Burst,
    pub(crate) cached: Burst,
    pub(crate) expired: Burst,
}

/// Sends three bursts.
pub(crate) async fn three(
    scene: &Scene,
    address: SocketAddr,
    number: usize,
) -> Result<Bursts, Failure> {
    scene.set_engage_delay(DELAY).await?;
    let cold = one(scene, address, number).await?;
    let cached = one(scene, address, number).await?;
    sleep_until(Instant::now() + UNTIL_EXPIRED).await;
    let expired = one(scene, address, number).await?;
    scene.set_engage_delay(Duration::ZERO).await?;
    Ok(Bursts {
        cold,
        cached,
        expired,
    })
}

/// All callers have a connection and send at the same moment. Each wait is measured from then.
pub(crate) async fn one(
    scene: &Scene,
    address: SocketAddr,
    number: usize,
) -> Result<Burst, Failure> {
    let start = Arc::new(Barrier::new(CALLERS + 1));
    let mut callers = JoinSet::new();
    let request: Arc<[u8]> = miss(number).into();
    for _ in 0..CALLERS {
        let (start, request) = (Arc::clone(&start), Arc::clone(&request));
        // A first response shows that the connection was accepted: connecting is not part of the wait.
        let mut caller = Caller::connect(address).await?;
        caller.ask(&crate::caller::get("/livez", "")).await?;
        callers.spawn(async move {
            start.wait().await;
            let sent = Instant::now();
            caller.send(&request).await?;
            caller.reply().await?.expect(200)?;
            Ok::<_, Failure>(sent.elapsed())
        });
    }
    start.wait().await;
    let mut waits = Vec::with_capacity(CALLERS);
    while let Some(wait) = callers.join_next().await {
        waits.push(wait??);
    }
    waits.sort_unstable();
    // A refresh may still be under way.
    sleep_until(Instant::now() + 2 * DELAY).await;
    Ok(Burst {
        calls: scene.set_engage_delay(DELAY).await?,
        median: waits[CALLERS / 2],
        p99: waits[CALLERS * 99 / 100],
    })
}
