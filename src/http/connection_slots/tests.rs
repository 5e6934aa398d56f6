use super::*;

fn slots(max: usize) -> Arc<ConnectionSlots> {
    Arc::new(ConnectionSlots::new(max, ConnectionCounters::default()))
}

/// Handles the signal to evict as the connection's task does: the connection closes if it is idle.
fn handle_eviction(permit: &ConnectionPermit) -> bool {
    assert_eq!(permit.state().take_signals(), EVICT);
    permit.state().evict_when_idle();
    if permit.state().idle_since().is_some() {
        permit.state().begin_idle_close();
    }
    permit.finish_eviction()
}

#[test]
fn longest_idle_connection_is_evicted_first_and_each_once() {
    let slots = slots(4);
    let permits: Vec<_> = (0..4).map(|_| slots.acquire().expect("a slot")).collect();
    slots.tick();
    // The first has sent a response since, the third is answering a request.
    for permit in [&permits[0], &permits[2]] {
        permit.state().mark_busy();
    }
    permits[0].state().mark_idle();
    permits[2].state().advance();
    for evicted in [1, 3, 0] {
        let newcomer = slots.acquire().expect("a slot");
        newcomer.state().mark_busy();
        assert!(!newcomer.is_in_reserve());
        let signals: Vec<_> = permits
            .iter()
            .map(|permit| permit.state().take_signals())
            .collect();
        let expected: Vec<_> = (0..4).map(|index| u8::from(index == evicted)).collect();
        assert_eq!(signals, expected);
        std::mem::forget(newcomer);
    }
    assert!(slots.acquire().expect("the reserve").is_in_reserve());
}

#[test]
fn connection_that_is_busy_again_stays_and_counts() {
    let slots = slots(1);
    let kept = slots.acquire().expect("a slot");
    let newcomer = slots.acquire().expect("a slot");
    newcomer.state().mark_busy();
    kept.state().mark_busy();
    assert!(!handle_eviction(&kept));
    assert!(!kept.is_in_reserve());
    // Two are admitted where the limit is one: the end of one of them frees no slot.
    let third = slots.acquire().expect("the reserve");
    drop(newcomer);
    assert!(!third.is_admitted());
    drop(kept);
    assert!(third.is_admitted());
}

#[test]
fn evicted_idle_connection_is_counted() {
    let slots = slots(1);
    let idle = slots.acquire().expect("a slot");
    let newcomer = slots.acquire().expect("a slot");
    assert!(handle_eviction(&idle));
    assert_eq!(slots.counts.closed_for_room.get(), 1);
    assert_eq!(slots.counts.open.get(), 2);
    drop((idle, newcomer));
    assert_eq!(slots.counts.open.get(), 0);
    assert_eq!(slots.lock().admitted, 0);
}

#[test]
fn beyond_the_reserve_there_is_no_slot() {
    let slots = slots(1);
    let permits: Vec<_> = (0..=PROBE_CONNECTIONS)
        .map(|_| {
            let permit = slots.acquire().expect("a slot");
            permit.state().mark_busy();
            permit
        })
        .collect();
    assert!(slots.acquire().is_none());
    drop(permits);
    assert!(slots.acquire().is_some());
}
