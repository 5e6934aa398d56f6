//! Memory when idle and for each contact, and the time until the service serves.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    Failure,
    caller::{Caller, Reply, ask_all, get},
    contacts::{contact_id, email, phone},
    rounds::{float, median},
    scene::Scene,
    service::{Service, Start},
};

const STARTS: usize = 11;
/// How many contacts are requested to compare hits.
const COLD_CONTACTS: usize = 50_000;
const HOT_ROUNDS: usize = 3;
/// The size of the cache, and a number of contacts that does not fit into it: each takes more than half a kilobyte.
const OVERFULL_MEBIBYTES: u64 = 192;
const OVERFULL_CONTACTS: usize = 500_000;
/// Longer than two sweeps: the second treats every record as cold that was not read since the first.
const TWO_SWEEPS: Duration = Duration::from_secs(130);
/// A little longer than an idle blocking thread is kept.
const THREADS_END: Duration = Duration::from_secs(12);
const POLL: Duration = Duration::from_secs(5);

/// What was measured.
pub(crate) struct Footprint {
    /// The binary as it is built, in bytes.
    pub(crate) binary: u64,
    /// From the start of the process until it accepts a connection, in milliseconds.
    pub(crate) start: f64,
    /// Resident memory before the first request, in bytes.
    pub(crate) idle: u64,
    pub(crate) contacts: usize,
    /// Resident memory for each contact, in bytes.
    pub(crate) contact: f64,
    /// The size of the cache that the service itself reports.
    pub(crate) reported: String,
}

/// Processor time of a hit on a cold record, in microseconds.
pub(crate) struct Cold {
    /// The first hit, which renders the response.
    pub(crate) first: f64,
    /// The second hit.
    pub(crate) second: f64,
    /// Later hits.
    pub(crate) hot: f64,
}

pub(crate) async fn measure(scene: &Scene, contacts: usize) -> Result<Footprint, Failure> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let began = Instant::now();
        let service = scene.usual().serve().await?;
        starts.push(began.elapsed().as_secs_f64() * 1000.0);
        Caller::connect(service.server.address)
            .await?
            .ask(&get("/livez", ""))
            .await?
            .expect(200)?;
    }
    let (contact, reported) = memory(scene, contacts).await?;
    Ok(Footprint {
        binary: fs::metadata(&scene.binary)?.len(),
        start: median(starts),
        idle: idle(scene).await?,
        contacts,
        contact,
        reported,
    })
}

/// Resident memory after the threads of the start have ended and a probe was answered.
async fn idle(scene: &Scene) -> Result<u64, Failure> {
    let service = scene.usual().serve().await?;
    for _ in 0..2 {
        sleep_until(Instant::now() + THREADS_END).await;
        let mut caller = Caller::connect(service.server.address).await?;
        caller.ask(&get("/livez", "")).await?.expect(200)?;
    }
    service.server.resident()
}

/// Requests so many contacts that the cache has no room for all rendered responses, and waits until every record is
/// cold. Fails if a contact is not answered from memory by each of its aliases. Returns the growth of memory for each
/// contact, and the size that the service reports.
async fn memory(scene: &Scene, contacts: usize) -> Result<(f64, String), Failure> {
    let start = Start {
        max_size: &format!("{}KiB", 2 * contacts),
        ..scene.usual()
    };
    let service = start.serve().await?;
    let before = service.server.resident()?;
    for alias in [by_email, by_phone, by_id] {
        request_all(&service, contacts, alias).await?;
    }
    let reported = wait_until_cold(&service).await?;
    let grown = service.server.resident()?.saturating_sub(before);
    for alias in [by_email, by_phone, by_id] {
        expect_cached(&service, contacts, alias).await?;
    }
    let contacts = u64::try_from(contacts)?;
    Ok((float(grown) / float(contacts), reported))
}

/// Requests more contacts than fit. Returns the growth of memory, as a share of the size of the cache.
pub(crate) async fn overfull(scene: &Scene) -> Result<f64, Failure> {
    let start = Start {
        max_size: &format!("{OVERFULL_MEBIBYTES}MiB"),
        ..scene.usual()
    };
    let service = start.serve().await?;
    let before = service.server.resident()?;
    request_all(&service, OVERFULL_CONTACTS, by_email).await?;
    let grown = service.server.resident()?.saturating_sub(before);
    Ok(float(grown) / float(OVERFULL_MEBIBYTES << 20))
}

/// Requests cold records, then the same records again.
pub(crate) async fn cold(scene: &Scene) -> Result<Cold, Failure> {
    let start = Start {
        // So large that no sweep runs early.
        max_size: "16GiB",
        ..scene.usual()
    };
    let service = start.serve().await?;
    request_all(&service, COLD_CONTACTS, by_email).await?;
    wait_until_cold(&service).await?;
    let mut spent = Vec::new();
    for _ in 0..2 + HOT_ROUNDS {
        let before = service.server.cpu();
        request_all(&service, COLD_CONTACTS, by_email).await?;
        let spent_now = service.server.cpu().since(before);
        let requests = u64::try_from(COLD_CONTACTS)?;
        spent.push(float(spent_now.user + spent_now.kernel) / float(requests));
    }
    let hot = median(spent.split_off(2));
    Ok(Cold {
        first: spent[0],
        second: spent[1],
        hot,
    })
}

fn by_email(number: usize) -> String {
    format!("email={}", email(number).replace('@', "%40"))
}

fn by_phone(number: usize) -> String {
    format!("mobilePhone={}", phone(number).replace('+', "%2B"))
}

fn by_id(number: usize) -> String {
    format!("contactId={}", contact_id(number))
}

/// Requests each contact once.
async fn request_all(
    service: &Service,
    contacts: usize,
    alias: fn(usize) -> String,
) -> Result<(), Failure> {
    let request = move |number| get(&format!("/customer?{}", alias(number)), "");
    let look = |reply: Reply| reply.expect(200).map(drop);
    ask_all(service.server.address, contacts, request, look).await?;
    Ok(())
}

/// Fails if any contact is not answered from memory by that alias.
async fn expect_cached(
    service: &Service,
    contacts: usize,
    alias: fn(usize) -> String,
) -> Result<(), Failure> {
    let request = move |number| {
        let path = format!("/customer?{}", alias(number));
        get(&path, "Cache-Control: only-if-cached\r\n")
    };
    let is_cached = |reply: Reply| Ok(reply.status == 200);
    let replies = ask_all(service.server.address, contacts, request, is_cached).await?;
    let missing = replies.into_iter().filter(|is_cached| !is_cached).count();
    if missing > 0 {
        let example = alias(0);
        return Err(
            format!("{missing} of {contacts} aliases like {example} are not cached").into(),
        );
    }
    Ok(())
}

/// Waits until the records have not become smaller for longer than two sweeps. Returns the size that the service then
/// reports.
async fn wait_until_cold(service: &Service) -> Result<String, Failure> {
    let (mut least, mut unchanged) = (u64::MAX, 0);
    loop {
        let mut operator = Caller::connect(service.operations).await?;
        let readyz = operator.ask(&get("/readyz", "")).await?.expect(200)?;
        let report: serde_json::Value = serde_json::from_slice(&readyz.body)?;
        let cache = &report["cache"];
        let bytes = cache["recordBytes"].as_u64().ok_or("no recordBytes")?;
        unchanged = if bytes < least { 0 } else { unchanged + 1 };
        if unchanged > TWO_SWEEPS.as_secs() / POLL.as_secs() {
            return Ok(cache.to_string());
        }
        least = bytes.min(least);
        sleep_until(Instant::now() + POLL).await;
    }
}
