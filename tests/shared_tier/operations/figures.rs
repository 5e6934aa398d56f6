//! Measures what the scripts and a contact cost the server. Prints figures; asserts nothing about time.

use engage_bff::{
    domain::PartMap,
    shared_tier::protocol::{ContactName, FetchOutcome, NewValue, StoreCommand, Subject},
};

use crate::harness::{ANNA, ANNAS_MAIL, HOUR, Tier, fetch, nothing, purge, store};

const ROUNDS: usize = 2000;

fn kilobytes(mut command: StoreCommand) -> StoreCommand {
    command.parts = PartMap::from_fn(|_| {
        let sealed = vec![b'x'; 1000].into();
        Some(NewValue {
            lifetime: HOUR,
            sealed,
        })
    });
    command
}

/// Prints the server's average cost of one run of a script since the last reset: elapsed time, and processor time
/// including everything around the script.
fn print(tier: &Tier, what: &str) {
    let stats = tier.server.info("commandstats", "cmdstat_evalsha");
    let stats = stats.expect("it ran scripts");
    let of = |name: &str| -> f64 {
        let field = stats.split(',').find_map(|field| field.strip_prefix(name));
        field.expect("it is counted").parse().expect("a number")
    };
    let processor = processor(tier) * 1e6 / of("calls=");
    println!(
        "{what}: {} µs, processor {processor:.1} µs",
        of("usec_per_call=")
    );
    reset(tier);
}

fn reset(tier: &Tier) {
    tier.server.command(&["CONFIG", "RESETSTAT"]);
    STARTED.with(|started| started.set(started.get() + processor(tier)));
}

thread_local! {
    static STARTED: std::cell::Cell<f64> = const { std::cell::Cell::new(0.0) };
}

/// The processor time since the last reset, in seconds.
fn processor(tier: &Tier) -> f64 {
    let of = |field| -> f64 {
        let text = tier.server.info("cpu", field).expect("it is counted");
        text.parse().expect("a number")
    };
    let total = of("used_cpu_user_main_thread") + of("used_cpu_sys_main_thread");
    total - STARTED.with(std::cell::Cell::get)
}

#[tokio::test]
#[ignore = "prints figures"]
async fn what_the_scripts_cost() {
    let tier = Tier::start().await;
    let contact = Subject::Contact(ANNA);
    let lease = tier.lease(contact).await;
    tier.store(kilobytes(store(lease, ANNA, ""))).await;
    reset(&tier);
    for _ in 0..ROUNDS {
        assert_eq!(
            tier.fetch(fetch(contact)).await.outcome,
            FetchOutcome::Served
        );
    }
    print(&tier, "fetch, 5 parts of 1 kB");

    tier.fill_alias(ANNAS_MAIL, ANNA).await;
    reset(&tier);
    for _ in 0..ROUNDS {
        tier.fetch(fetch(Subject::Alias(ANNAS_MAIL))).await;
    }
    print(&tier, "fetch by alias, 5 parts");

    let name = |number: usize| {
        let mut name = [0; 16];
        name[..8].copy_from_slice(&number.to_le_bytes());
        ContactName(name)
    };
    let mut leases = Vec::new();
    for number in 0..ROUNDS {
        leases.push(tier.lease(Subject::Contact(name(number))).await);
    }
    print(&tier, "fetch that leases");
    for (number, lease) in leases.into_iter().enumerate() {
        tier.store(kilobytes(store(lease, name(number), ""))).await;
    }
    print(&tier, "store of 5 parts, no entry since");
    let usage = |key: &[u8]| tier.server.command(&[&b"MEMORY"[..], b"USAGE", key]);
    println!("a contact of 5 kB: {:?}", usage(&tier.contact_key(name(0))));

    let mut leases = Vec::new();
    for number in 0..ROUNDS {
        leases.push(tier.lease(Subject::Contact(name(number))).await);
    }
    reset(&tier);
    for number in 0..500 {
        tier.invalidate(purge(name(ROUNDS + number))).await;
    }
    print(&tier, "invalidate one contact");
    for (number, lease) in leases.into_iter().enumerate() {
        let mut command = kilobytes(store(lease, name(number), ""));
        command.requested_at.0 += 1;
        tier.store(command).await;
    }
    print(&tier, "store of 5 parts, 500 entries since");
    for _ in 0..ROUNDS {
        tier.beat(crate::harness::beat(crate::harness::REPLICA))
            .await;
    }
    print(&tier, "beat");
    for _ in 0..ROUNDS {
        tier.invalidate(nothing()).await;
    }
    print(&tier, "invalidate nothing");
    let mut many = nothing();
    many.contacts = (0..1000)
        .flat_map(|number| purge(name(number)).contacts)
        .collect();
    for _ in 0..10 {
        tier.invalidate(many.clone()).await;
    }
    print(&tier, "invalidate 1000 contacts");
    println!(
        "the stream of 2500 entries: {:?}",
        usage(tier.stream().as_bytes())
    );
}
