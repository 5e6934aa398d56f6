//! What the service takes while nobody asks, what a contact takes, and how soon it serves.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep_until};

use crate::{
    Failure,
    caller::{Caller, ask_all, get},
    contacts::{contact_id, email, phone},
    rounds::{float, median},
    scene::Scene,
    service::Start,
};

const STARTS: usize = 11;

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

pub(crate) async fn measure(scene: &Scene, contacts: usize) -> Result<Footprint, Failure> {
    let mut starts = Vec::new();
    let mut idle = 0;
    for _ in 0..STARTS {
        let began = Instant::now();
        let service = scene.usual().serve().await?;
        starts.push(began.elapsed().as_secs_f64() * 1000.0);
        Caller::connect(service.server.address)
            .await?
            .ask(&get("/livez", ""))
            .await?
            .expect(200)?;
        sleep_until(Instant::now() + Duration::from_millis(100)).await;
        idle = idle.max(service.server.resident()?);
    }
    let (contact, held) = memory(scene, contacts).await?;
    Ok(Footprint {
        binary: fs::metadata(&scene.binary)?.len(),
        start: median(starts),
        idle,
        contacts,
        contact,
        held,
    })
}

/// Asks for each contact by e-mail, by phone and by its id, and divides what memory grew by.
async fn memory(scene: &Scene, contacts: usize) -> Result<(f64, String), Failure> {
    let start = Start {
        max_size: "16GiB",
        ..scene.usual()
    };
    let service = start.serve().await?;
    let before = service.server.resident()?;
    let names: [fn(usize) -> String; 3] = [
        |number| format!("email={}", email(number).replace('@', "%40")),
        |number| format!("mobilePhone={}", phone(number).replace('+', "%2B")),
        |number| format!("contactId={}", contact_id(number)),
    ];
    for name in names {
        let request = move |number| get(&format!("/customer?{}", name(number)), "");
        ask_all(service.server.address, contacts, request, |reply| {
            reply.expect(200).map(drop)
        })
        .await?;
    }
    let grown = service.server.resident()?.saturating_sub(before);
    let mut operator = Caller::connect(service.operations).await?;
    let readyz = operator.ask(&get("/readyz", "")).await?.expect(200)?;
    let text = String::from_utf8(readyz.body)?;
    let held = text.split_once("\"cache\":").map_or("", |(_, held)| held);
    let held = held
        .trim_end_matches('}')
        .trim_start_matches('{')
        .to_owned();
    let contacts = u64::try_from(contacts)?;
    Ok((float(grown) / float(contacts), held))
}
