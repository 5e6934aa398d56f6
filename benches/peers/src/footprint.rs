//! What the service takes while nobody asks, what a contact takes, and how soon it serves.

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
/// How many are asked for to compare hits.
const PACKED_CONTACTS: usize = 50_000;
const HOT_ROUNDS: usize = 3;
/// So much may be held where too much comes, and so many come: each takes more than half a kilobyte.
const OVERFULL_MEBIBYTES: u64 = 192;
const OVERFULL_CONTACTS: usize = 500_000;
/// Longer than two rounds of the service's caretaker: the second packs whom nobody asked for since the first.
const TWO_ROUNDS: Duration = Duration::from_secs(130);
/// How long a thread that has nothing to do is kept, and some.
const HELPERS_END: Duration = Duration::from_secs(12);
const GLANCE: Duration = Duration::from_secs(5);

/// What was found.
pub(crate) struct Footprint {
    /// The binary as it is built, in bytes.
    pub(crate) binary: u64,
    /// From the start of the process until it takes a connection, in milliseconds.
    pub(crate) start: f64,
    /// Resident memory before anybody asks, in bytes.
    pub(crate) idle: u64,
    pub(crate) contacts: usize,
    /// Resident memory for each contact, in bytes.
    pub(crate) contact: f64,
    /// What the service itself says it holds.
    pub(crate) held: String,
}

/// What a hit takes on who was not asked for in a while, in microseconds of processor time.
pub(crate) struct Packed {
    pub(crate) first: f64,
    /// Which makes it ready again.
    pub(crate) second: f64,
    /// The next ones.
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
    let (contact, held) = memory(scene, contacts).await?;
    Ok(Footprint {
        binary: fs::metadata(&scene.binary)?.len(),
        start: median(starts),
        idle: idle(scene).await?,
        contacts,
        contact,
        held,
    })
}

/// Resident memory when the threads that helped to start have ended and a probe has been answered since.
async fn idle(scene: &Scene) -> Result<u64, Failure> {
    let service = scene.usual().serve().await?;
    for _ in 0..2 {
        sleep_until(Instant::now() + HELPERS_END).await;
        let mut caller = Caller::connect(service.server.address).await?;
        caller.ask(&get("/livez", "")).await?.expect(200)?;
    }
    service.server.resident()
}

/// Lets so much come that it could not all be held, were it not packed; and waits until nobody is left to be packed.
/// Returns what memory grew by for each contact, and what the service says that it holds.
async fn memory(scene: &Scene, contacts: usize) -> Result<(f64, String), Failure> {
    let start = Start {
        max_size: &format!("{}KiB", 2 * contacts),
        ..scene.usual()
    };
    let service = start.serve().await?;
    let before = service.server.resident()?;
    for name in [by_email, by_phone, by_id] {
        ask(&service, contacts, name).await?;
    }
    let held = settled(&service).await?;
    let grown = service.server.resident()?.saturating_sub(before);
    let contacts = u64::try_from(contacts)?;
    Ok((float(grown) / float(contacts), held))
}

/// Lets more come than may be held. Returns what memory grew by, as a share of that.
pub(crate) async fn overfull(scene: &Scene) -> Result<f64, Failure> {
    let start = Start {
        max_size: &format!("{OVERFULL_MEBIBYTES}MiB"),
        ..scene.usual()
    };
    let service = start.serve().await?;
    let before = service.server.resident()?;
    ask(&service, OVERFULL_CONTACTS, by_email).await?;
    let grown = service.server.resident()?.saturating_sub(before);
    Ok(float(grown) / float(OVERFULL_MEBIBYTES << 20))
}

/// Asks for those who were packed, and for the same again.
pub(crate) async fn packed(scene: &Scene) -> Result<Packed, Failure> {
    let start = Start {
        // So much that no round is due before its time.
        max_size: "16GiB",
        ..scene.usual()
    };
    let service = start.serve().await?;
    ask(&service, PACKED_CONTACTS, by_email).await?;
    settled(&service).await?;
    let mut spent = Vec::new();
    for _ in 0..2 + HOT_ROUNDS {
        let before = service.server.cpu();
        ask(&service, PACKED_CONTACTS, by_email).await?;
        let spent_now = service.server.cpu().since(before);
        let requests = u64::try_from(PACKED_CONTACTS)?;
        spent.push(float(spent_now.user + spent_now.kernel) / float(requests));
    }
    let hot = median(spent.split_off(2));
    Ok(Packed {
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

/// Asks for each contact once.
async fn ask(service: &Service, contacts: usize, name: fn(usize) -> String) -> Result<(), Failure> {
    let request = move |number| get(&format!("/customer?{}", name(number)), "");
    let look = |reply: Reply| reply.expect(200).map(drop);
    ask_all(service.server.address, contacts, request, look).await?;
    Ok(())
}

/// Waits until the records take no less room any more, for longer than two rounds take. Returns what it says that it holds
/// then.
async fn settled(service: &Service) -> Result<String, Failure> {
    let (mut least, mut unchanged) = (u64::MAX, 0);
    loop {
        let mut operator = Caller::connect(service.operations).await?;
        let readyz = operator.ask(&get("/readyz", "")).await?.expect(200)?;
        let told: serde_json::Value = serde_json::from_slice(&readyz.body)?;
        let held = &told["cache"];
        let bytes = held["recordBytes"].as_u64().ok_or("no recordBytes")?;
        unchanged = if bytes < least { 0 } else { unchanged + 1 };
        if unchanged > TWO_ROUNDS.as_secs() / GLANCE.as_secs() {
            return Ok(held.to_string());
        }
        least = bytes.min(least);
        sleep_until(Instant::now() + GLANCE).await;
    }
}
