//! The time of each step of a response from memory, and of all steps together.
//!
//! ```sh
//! cargo bench --bench steps
//! cargo bench --bench steps -- look
//! ```

#[path = "../shared/peer.rs"]
mod peer;
#[path = "../shared/service.rs"]
#[expect(dead_code, reason = "the steps do not use its Engage")]
mod service;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::Criterion;
use engage_bff::{
    customer::{CustomerQuery, CustomerService, Rendered, Shape, view::View},
    domain::{
        Channel, ContactType, Digester, Flow, Identifier, IdentifierKind, IdentifierRules, Lookup,
        PartSet,
    },
};
use engage_simulator::fixtures::ALVA;
use jiff::civil::{Date, date};
use tokio::{runtime::Builder, time::Instant};

use self::{
    peer::Peer,
    service::{SHOP, Service, TILL},
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TODAY: Date = date(2026, 11, 23);
const MINUTE: Duration = Duration::from_secs(60);
/// As in config/default.toml. Responses with another window are not kept.
const USUAL_WINDOW: Duration = Duration::from_secs(14 * 24 * 60 * 60);

fn main() -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let service = runtime.block_on(Service::start())?;
    let mut criterion = Criterion::default().configure_from_args();
    bench_parsing(&mut criterion);
    runtime.block_on(caller(&service, SHOP))?;
    {
        // Stale parts are refreshed in the background; none is stale here.
        let _guard = runtime.enter();
        bench_look_ups(&mut criterion, &service.app.customers());
    }
    for (name, key) in [
        ("the whole request, through an in-memory connection", SHOP),
        ("all of it in the full view, which is audited", TILL),
    ] {
        let mut peer = runtime.block_on(caller(&service, key))?;
        criterion.bench_function(name, |bench| {
            bench.iter_custom(|times| {
                let began = Instant::now();
                let times = usize::try_from(times).expect("fewer than memory has bytes");
                runtime.block_on(peer.ask(times)).expect("answers");
                began.elapsed()
            });
        });
    }
    criterion.final_summary();
    Ok(())
}

/// Requests a contact, which is cached from then on.
async fn caller(service: &Service, key: &str) -> Result<Peer, Failure> {
    let email = ALVA.email.replace('@', "%40");
    let request = format!(
        "GET /customer?email={email} HTTP/1.1\r\nHost: shop.example.com\r\nX-Api-Key: {key}\r\n\r\n"
    );
    let hit = "cache-status: engage-bff; hit";
    Peer::warm(service.connect(), request.into_bytes(), "200", hit).await
}

fn rules() -> IdentifierRules {
    IdentifierRules {
        phone_region: phonenumber::country::SE,
        check_digits: true,
        national_id_country: None,
    }
}

fn email() -> Identifier {
    Identifier::parse(IdentifierKind::Email, ALVA.email, &rules(), TODAY).expect("an address")
}

fn lookup() -> Lookup {
    Lookup::new(
        email(),
        ContactType::parse("Member"),
        &Digester::with_key(b"bench"),
    )
}

/// The steps that read a request's text, before the look-up.
fn bench_parsing(criterion: &mut Criterion) {
    let (rules, phone) = (rules(), ALVA.phone);
    criterion.bench_function("read an e-mail address", |bench| {
        bench.iter(|| {
            Identifier::parse(IdentifierKind::Email, black_box(ALVA.email), &rules, TODAY)
        });
    });
    criterion.bench_function("read a phone number", |bench| {
        bench.iter(|| {
            Identifier::parse(IdentifierKind::MobilePhone, black_box(phone), &rules, TODAY)
        });
    });
    let (digester, member) = (Digester::with_key(b"bench"), ContactType::parse("Member"));
    criterion.bench_function("make the key of an address", |bench| {
        bench.iter_batched(
            || (email(), member.clone()),
            |(email, member)| Lookup::new(email, member, &digester),
            criterion::BatchSize::SmallInput,
        );
    });
}

/// The steps that read cached records.
fn bench_look_ups(criterion: &mut Criterion, customers: &CustomerService) {
    let shape = Shape {
        view: View::Storefront,
        channel: Some(Channel::Ecom),
        requested: PartSet::ALL,
        expiring_within: USUAL_WINDOW,
    };
    let render = |shape: Shape| -> Option<Arc<Rendered>> {
        let query = query(customers);
        customers.find_in_memory(&query, |found| customers.render(found, &shape).ok())
    };
    criterion.bench_function(
        "look up: the alias, the record, its freshness, the response",
        |bench| {
            bench.iter(|| render(shape).expect("cached"));
        },
    );
    criterion.bench_function("look, and render again", |bench| {
        // Responses with another window are not kept.
        let unusual = Shape {
            expiring_within: MINUTE,
            ..shape
        };
        bench.iter(|| render(unusual).expect("cached"));
    });
    criterion.bench_function("look, and render a cold record", |bench| {
        bench.iter_custom(|times| {
            let mut spent = Duration::ZERO;
            for _ in 0..times {
                customers.maintain();
                customers.maintain();
                let began = Instant::now();
                black_box(render(shape).expect("cached"));
                spent += began.elapsed();
            }
            spent
        });
    });
}

fn query(customers: &CustomerService) -> CustomerQuery {
    let now = customers.clock().now();
    let deadline = now.tick + MINUTE;
    customers.query(Flow::from("shop"), lookup(), PartSet::ALL, now, deadline)
}
