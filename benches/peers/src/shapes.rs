//! The shapes of load.

use std::{fs, io::Write, time::Duration};

use crate::{
    Failure,
    background::Background,
    burst, footprint,
    peers::{self, MEASURED, haproxy, nginx, own, varnish},
    plot,
    report::{BACKGROUND, Report},
    rounds::{Contender, Row, play},
    scene::{Scene, warm},
    service::Start,
    settings::Settings,
    wrk::Load,
};

/// The number of the first contact that the misses request; `OF_BURSTS` is that of the bursts.
const UNKNOWN: u64 = 1_000_000;
const OF_BURSTS: usize = 7_000_000;
/// The most processor time, in microseconds, that an origin takes while it gets no requests.
const IDLE_MICROS: u64 = 200_000;

pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let scene = Scene::set(&settings.scratch, &settings.binary).await?;
    let mut report = Report::default();
    if ["hit", "not-modified", "gzip", "background"]
        .iter()
        .any(|shape| settings.wants(shape))
    {
        progress("answers from memory")?;
        report.memory = from_memory(settings, &scene, &mut report).await?;
    }
    if settings.wants("miss") {
        progress("misses")?;
        report.misses = misses(settings, &scene).await?;
    }
    if settings.wants("workers") {
        progress("workers")?;
        report.workers = workers(settings, &scene).await?;
    }
    if settings.wants("burst") {
        progress("bursts")?;
        bursts(settings, &scene, &mut report).await?;
    }
    if settings.wants("footprint") {
        progress("footprint")?;
        report.footprint = Some(footprint::measure(&scene, settings.contacts).await?);
    }
    if settings.wants("overfull") {
        progress("more than fits")?;
        report.overfull = Some(footprint::overfull(&scene).await?);
    }
    if settings.wants("cold") {
        progress("cold records")?;
        report.cold = Some(footprint::cold(&scene).await?);
    }
    fs::write(settings.out.join("table.md"), report.to_string())?;
    if let Some(plot) = plot::of(&report.memory) {
        fs::write(settings.out.join("performance.svg"), plot)?;
    }
    Ok(std::io::stdout().write_all(report.to_string().as_bytes())?)
}

fn progress(what: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stderr(), "bench: {what}")?)
}

/// Measures the responses from memory: hits, 304, gzip, and hits under background load.
async fn from_memory(
    settings: &Settings,
    scene: &Scene,
    report: &mut Report,
) -> Result<Vec<Row>, Failure> {
    let service = scene.recorded_service(scene.usual()).await?;
    // A service of its own, so that the background load does not disturb the other rows.
    let disturbed = scene.warm_service(scene.usual()).await?;
    let scratch = &scene.scratch;
    let twin = own("twin", MEASURED, &scene.bodies, scratch).await?;
    let origin = own("origin", peers::LOADING, &scene.bodies, scratch).await?;
    let haproxy = haproxy(origin.address, scratch).await?;
    let nginx = nginx(origin.address, scratch).await?;
    let varnish = varnish(origin.address, scratch).await?;
    for peer in [&twin, &haproxy, &nginx, &varnish] {
        warm(peer.address, "", |_| Ok(())).await?;
    }
    let background = Background::new(&disturbed);
    let load = |kind| Load::of(kind, settings.pace.seconds);
    let mut contenders = vec![Contender::new("engage-bff", &service.server, load("hit"))];
    if settings.wants("not-modified") {
        contenders.push(Contender::new(
            "engage-bff, 304",
            &service.server,
            load("not-modified"),
        ));
    }
    if settings.wants("gzip") {
        contenders.push(Contender::new(
            "engage-bff, gzip",
            &service.server,
            load("gzip"),
        ));
    }
    contenders.push(Contender::new("bare hyper", &twin, load("hit")));
    contenders.push(Contender::new("HAProxy", &haproxy, load("hit")));
    if settings.wants("hit") {
        contenders.push(Contender::new("nginx", &nginx, load("hit")));
        contenders.push(Contender::new("Varnish", &varnish, load("hit")));
    }
    if settings.wants("background") {
        contenders.push(Contender {
            background: Some(&background),
            ..Contender::new(BACKGROUND, &disturbed.server, load("hit"))
        });
    }
    let before = origin.cpu();
    scene.set_engage_delay(Duration::ZERO).await?;
    let rows = play(&contenders, settings.pace, &scene.questions).await?;
    let calls = scene.set_engage_delay(Duration::ZERO).await?;
    let passed_on = origin.cpu().since(before);
    if passed_on.user + passed_on.kernel > IDLE_MICROS {
        return Err("a peer did not answer from memory: its origin was called".into());
    }
    // The last call of each slice may be unanswered.
    if calls > background.misses() + settings.pace.rounds {
        return Err(format!(
            "the service did not answer from memory: Engage was called {calls} times"
        )
        .into());
    }
    report.batches_a_second = settings
        .wants("background")
        .then(|| background.batches_a_second());
    Ok(rows)
}

/// Contacts that were not requested before: one call for each.
async fn misses(settings: &Settings, scene: &Scene) -> Result<Vec<Row>, Failure> {
    let service = scene.usual().serve().await?;
    let haproxy = haproxy(scene.engage.address, &scene.scratch).await?;
    let nginx = nginx(scene.engage.address, &scene.scratch).await?;
    let varnish = varnish(scene.engage.address, &scene.scratch).await?;
    let load = Load {
        first: UNKNOWN,
        ..Load::of("miss", settings.pace.seconds)
    };
    let contenders = [
        Contender::new("engage-bff", &service.server, load),
        Contender::new("HAProxy", &haproxy, load),
        Contender::new("nginx", &nginx, load),
        Contender::new("Varnish", &varnish, load),
    ];
    scene.set_engage_delay(Duration::ZERO).await?;
    let rows = play(&contenders, settings.pace, &scene.questions).await?;
    let calls = scene.set_engage_delay(Duration::ZERO).await?;
    let asked: u64 = rows.iter().map(Row::requests).sum();
    if calls < asked {
        return Err(
            format!("some responses were not misses: {asked} requests, {calls} calls").into(),
        );
    }
    Ok(rows)
}

/// One worker, then two, each time on both cores, which the load generator shares.
async fn workers(settings: &Settings, scene: &Scene) -> Result<Vec<Row>, Failure> {
    const BOTH: &str = "0,1";
    let start = |workers| Start {
        cores: BOTH,
        workers,
        ..scene.usual()
    };
    let one = scene.recorded_service(start("1")).await?;
    let two = scene.warm_service(start("2")).await?;
    let load = Load {
        cores: BOTH,
        ..Load::of("hit", settings.pace.seconds)
    };
    let contenders = [
        Contender::new("one worker", &one.server, load),
        Contender::new("two workers", &two.server, load),
    ];
    play(&contenders, settings.pace, &scene.questions).await
}

async fn bursts(settings: &Settings, scene: &Scene, report: &mut Report) -> Result<(), Failure> {
    let start = Start {
        lifetime: burst::LIFETIME,
        ..scene.usual()
    };
    let service = start.serve().await?;
    let haproxy = haproxy(scene.engage.address, &scene.scratch).await?;
    let nginx = nginx(scene.engage.address, &scene.scratch).await?;
    let varnish = varnish(scene.engage.address, &scene.scratch).await?;
    let rounds = usize::try_from(settings.pace.rounds)?;
    for number in OF_BURSTS..OF_BURSTS + rounds {
        let of_contact = burst::three(scene, service.server.address, number).await?;
        report.burst("engage-bff, cold", of_contact.cold);
        report.burst("engage-bff, cached", of_contact.cached);
        report.burst("engage-bff, expired", of_contact.expired);
        for (name, peer) in [
            ("HAProxy, cold", &haproxy),
            ("nginx, cold", &nginx),
            ("Varnish, cold", &varnish),
        ] {
            scene.set_engage_delay(burst::DELAY).await?;
            report.burst(name, burst::one(scene, peer.address, number).await?);
        }
    }
    scene.set_engage_delay(Duration::ZERO).await?;
    Ok(())
}
