//! The allocations of a response from memory: a fixed number of small ones, and none that grows with the response.
//! Counts all allocations on the thread that runs both the service and a caller; the caller itself allocates nothing.

#[path = "../benches/shared/peer.rs"]
mod peer;
#[expect(dead_code, reason = "the instruction benchmark uses more of it")]
#[path = "../benches/shared/service.rs"]
mod service;

use allocation_counter::{AllocationInfo, measure};
use engage_simulator::fixtures::ALVA;
use tokio::runtime::{Builder, Runtime};

use self::{
    peer::Peer,
    service::{SHOP, Service},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How often each request is sent: the counts are divided by this number and rounded down, so that an occasional
/// allocation does not show.
const TIMES: usize = 200;
/// How often the measurement is repeated; the least value counts.
const ROUNDS: usize = 10;
const HIT: &str = "cache-status: engage-bff; hit";

/// A kind of response, and its allocations.
struct Kind {
    name: &'static str,
    body: usize,
    count: u64,
    bytes: u64,
}

/// Name, request, expected status and expected text in the head. The short and the long kinds differ only in the
/// requested part.
fn kinds(etag: &str) -> [(&'static str, String, &'static str, &'static str); 7] {
    const GZIP: &str = "content-encoding: gzip";
    // Because of this header, hyper answers the request instead of the fast path.
    const BY_HYPER: &str = "Cache-Control: max-age=3600\r\n";
    let known = format!("If-None-Match: {etag}\r\n");
    let (short, long) = ("&parts=vouchers", "&parts=promotions");
    [
        ("everything", get("", ""), "200", HIT),
        ("nothing new", get("", &known), "304", HIT),
        ("in gzip", get("", "Accept-Encoding: gzip\r\n"), "200", GZIP),
        ("short", get(short, ""), "200", HIT),
        ("long", get(long, ""), "200", HIT),
        ("short, by hyper", get(short, BY_HYPER), "200", HIT),
        ("long, by hyper", get(long, BY_HYPER), "200", HIT),
    ]
}

fn get(more_of_query: &str, more_of_head: &str) -> String {
    format!(
        "GET /customer?email={}{more_of_query} HTTP/1.1\r\nHost: customers.example.com\r\nX-Api-Key: {SHOP}\r\n\
         {more_of_head}\r\n",
        ALVA.email
    )
}

fn measured(runtime: &Runtime) -> Result<Vec<Kind>, Failure> {
    let service = runtime.block_on(Service::start())?;
    let connect = |request: String, status, mark| {
        runtime.block_on(async {
            let stream = service.connect();
            Peer::warm(stream, request.into_bytes(), status, mark).await
        })
    };
    // A contact requested by another alias is fetched once more; after that its record stays.
    connect(get("", ""), "200", HIT)?;
    let first = connect(get("", ""), "200", HIT)?.first;
    let etag = first.field("etag").ok_or("no ETag")?.to_owned();
    let connected = kinds(&etag)
        .map(|(name, request, status, mark)| Ok((name, connect(request, status, mark)?)));
    let logged = runtime.block_on(async {
        let logged = service.connect_to_changed(|config| config.telemetry.access_log = true);
        Peer::warm(logged.await?, get("", "").into_bytes(), "200", HIT).await
    });
    let connected = connected
        .into_iter()
        .chain([logged.map(|logged| ("everything, access log", logged))]);
    let measured = connected.map(|connected: Result<(&str, Peer), Failure>| {
        let (name, mut peer) = connected?;
        runtime.block_on(peer.ask(TIMES))?;
        // Other work on the thread, more of it on a busy machine, can only add allocations.
        let mut least = (u64::MAX, u64::MAX);
        for _ in 0..ROUNDS {
            let mut asked = Ok(());
            let AllocationInfo {
                count_total,
                bytes_total,
                ..
            } = measure(|| asked = runtime.block_on(peer.ask(TIMES)));
            asked?;
            least = least.min((count_total / TIMES as u64, bytes_total / TIMES as u64));
        }
        let body = peer
            .first
            .field("content-length")
            .map_or(Ok(0), str::parse)?;
        Ok(Kind {
            name,
            body,
            count: least.0,
            bytes: least.1,
        })
    });
    measured.collect()
}

#[test]
fn a_response_from_memory_makes_a_few_small_allocations() {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let kinds = measured(&runtime).expect("every kind is answered");
    for kind in &kinds {
        let Kind {
            name,
            body,
            count,
            bytes,
        } = kind;
        println!("{count:3} allocations of {bytes:5} bytes for a body of {body:5}: {name}");
    }
    let [
        everything,
        nothing_new,
        gzip,
        short,
        long,
        short_by_hyper,
        long_by_hyper,
        access_log,
    ] = &kinds[..]
    else {
        panic!("eight kinds");
    };
    // The look-up copies the address twice: for the identifier and for the key of the alias index.
    assert!(everything.count <= 3 && everything.bytes <= 320);
    for other in [nothing_new, gzip] {
        assert_eq!(other.count, everything.count);
        // Durations have more digits on a busy machine.
        assert!(
            other.bytes.abs_diff(everything.bytes) <= 16,
            "{}",
            other.name
        );
    }
    for (short, long) in [(short, long), (short_by_hyper, long_by_hyper)] {
        assert!(
            long.body > short.body + 400,
            "{} and {}",
            long.body,
            short.body
        );
        assert_eq!(long.count, short.count, "{}", long.name);
        // The query parameter of the long kind is itself longer.
        assert!(long.bytes <= short.bytes + 20, "{}", long.name);
    }
    assert!(long_by_hyper.count <= 24, "{}", long_by_hyper.count);
    // The digest's text, and the formatting of the event.
    assert!(access_log.count <= everything.count + 4);
}
