//! Five hundred callers at once, for one contact.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{Failure, beside::miss, caller::Caller, scene::Scene};

pub(crate) const HERD: usize = 500;
/// How long Engage takes meanwhile.
pub(crate) const DELAY: Duration = Duration::from_millis(200);
/// How long a profile is fresh in the herd's service.
pub(crate) const LIFETIME: &str = "2s";
const UNTIL_EXPIRED: Duration = Duration::from_millis(2500);

/// What became of a herd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Herd {
    /// What Engage was asked.
    pub(crate) calls: u64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

/// The herds of one contact's life: nobody knows it, it is held, it has expired.
pub(crate) struct Life {
    pub(crate) cold: Herd,
    pub(crate) held: Herd,
    pub(crate) expired: Herd,
}

/// Lets the herd come three times.
pub(crate) async fn live(
    scene: &Scene,
    address: SocketAddr,
    number: usize,
) -> Result<Life, Failure> {
    scene.engage_takes(DELAY).await?;
    let cold = come(scene, address, number).await?;
    let held = come(scene, address, number).await?;
    sleep_until(Instant::now() + UNTIL_EXPIRED).await;
    let expired = come(scene, address, number).await?;
    scene.engage_takes(Duration::ZERO).await?;
    Ok(Life {
        cold,
        held,
        expired,
    })
}

/// All have a connection and ask at the same moment. Each is timed from then.
pub(crate) async fn come(
    scene: &Scene,
    address: SocketAddr,
    number: usize,
) -> Result<Herd, Failure> {
    let start = Arc::new(Barrier::new(HERD + 1));
    let mut callers = JoinSet::new();
    let request: Arc<[u8]> = miss(number).into();
    for _ in 0..HERD {
        let (start, request) = (Arc::clone(&start), Arc::clone(&request));
        // Accepted, and known to be: only then is the connection no part of the wait.
        let mut caller = Caller::connect(address).await?;
        caller.ask(&crate::caller::get("/livez", "")).await?;
        callers.spawn(async move {
            start.wait().await;
            let asked = Instant::now();
            caller.send(&request).await?;
            caller.reply().await?.expect(200)?;
            Ok::<_, Failure>(asked.elapsed())
        });
    }
    start.wait().await;
    let mut waits = Vec::with_capacity(HERD);
    while let Some(wait) = callers.join_next().await {
        waits.push(wait??);
    }
    waits.sort_unstable();
    // A refresh may still be under way.
    sleep_until(Instant::now() + 2 * DELAY).await;
    Ok(Herd {
        calls: scene.engage_takes(DELAY).await?,
        median: waits[HERD / 2],
        p99: waits[HERD * 99 / 100],
    })
}
