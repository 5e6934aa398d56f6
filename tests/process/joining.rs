//! A start with a shared tier that does not answer: the service stops waiting for it and serves without it.

use std::net::{SocketAddr, TcpListener};

use crate::{
    caller::Caller,
    harness::{Service, Started},
};

/// Starts the service with a Redis server at this address.
fn started_with_redis_at(address: SocketAddr) -> Started {
    Service::new()
        .env("BFF_REDIS__URL", &format!("redis://{address}"))
        .env(
            "BFF_REDIS__ENCRYPTION_KEYS",
            "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
        )
        .env("BFF_TELEMETRY__DIGEST_KEY", "k7Qm2xW9pLr4tYzC")
        .start()
}

/// Asserts that the service is ready on both listeners from the event `serving` on, without the tier.
#[track_caller]
fn assert_ready_alone(service: &Started) {
    for address in [service.data, service.operations] {
        assert_eq!(Caller::to(address).get("/readyz", &[]).status, 200);
    }
    let detail = Caller::to(service.operations).get("/readyz", &[]).body;
    assert!(detail.contains("\"available\":false"), "{detail}");
}

#[test]
fn service_serves_without_a_redis_that_does_not_answer() {
    // Connections wait in the backlog and are never accepted.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let service = started_with_redis_at(silent.local_addr().expect("an address"));
    assert_ready_alone(&service);
}

#[test]
fn service_starts_where_redis_is_not_there() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("an address");
    drop(closed);
    assert_ready_alone(&started_with_redis_at(address));
}
