use super::*;

fn room(most: usize) -> Arc<ConnectionSlots> {
    Arc::new(ConnectionSlots::new(most, ConnectionCounters::default()))
}

fn watch(seat: &ConnectionPermit) -> &ConnectionState {
    seat.as_ref()
}

/// The connection closes if it is idle, as its task would let it.
fn heeds(seat: &ConnectionPermit) -> bool {
    assert_eq!(watch(seat).take_orders(), MAKE_ROOM);
    watch(seat).close_at_once_when_idle();
    if watch(seat).idle_since().is_some() {
        watch(seat).closes_idle();
    }
    seat.makes_room()
}

#[test]
fn whoever_was_idle_longest_is_asked_first_and_each_once() {
    let room = room(4);
    let seats: Vec<_> = (0..4).map(|_| room.enter().expect("room")).collect();
    room.tick();
    // The first has an answer since, the third is being answered.
    for seat in [&seats[0], &seats[2]] {
        watch(seat).works();
    }
    watch(&seats[0]).idles();
    watch(&seats[2]).turn();
    for asked in [1, 3, 0] {
        let newcomer = room.enter().expect("room");
        watch(&newcomer).works();
        assert!(!newcomer.is_in_reserve());
        let orders: Vec<_> = seats.iter().map(|seat| watch(seat).take_orders()).collect();
        let expected: Vec<_> = (0..4).map(|seat| u8::from(seat == asked)).collect();
        assert_eq!(orders, expected);
        std::mem::forget(newcomer);
    }
    assert!(room.enter().expect("the reserve").is_in_reserve());
}

#[test]
fn a_connection_that_works_again_stays_and_counts() {
    let room = room(1);
    let kept = room.enter().expect("room");
    let newcomer = room.enter().expect("room");
    watch(&newcomer).works();
    watch(&kept).works();
    assert!(!heeds(&kept));
    assert!(!kept.is_in_reserve());
    // Two are admitted where one may be: the end of one of them makes no room.
    let third = room.enter().expect("the reserve");
    drop(newcomer);
    assert!(!third.is_admitted());
    drop(kept);
    assert!(third.is_admitted());
}

#[test]
fn an_idle_connection_that_makes_room_is_counted() {
    let room = room(1);
    let idle = room.enter().expect("room");
    let newcomer = room.enter().expect("room");
    assert!(heeds(&idle));
    assert_eq!(room.counts.closed_for_room.get(), 1);
    assert_eq!(room.counts.open.get(), 2);
    drop((idle, newcomer));
    assert_eq!(room.counts.open.get(), 0);
    assert_eq!(room.lock().admitted, 0);
}

#[test]
fn beyond_the_reserve_there_is_no_seat() {
    let room = room(1);
    let seats: Vec<_> = (0..=PROBE_CONNECTIONS)
        .map(|_| {
            let seat = room.enter().expect("a seat");
            watch(&seat).works();
            seat
        })
        .collect();
    assert!(room.enter().is_none());
    drop(seats);
    assert!(room.enter().is_some());
}
