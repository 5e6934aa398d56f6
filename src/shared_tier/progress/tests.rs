use super::*;

const ONE: EpochId = EpochId(1);
const TWO: EpochId = EpochId(2);

fn at(epoch: EpochId, millis: u64) -> Place {
    Place {
        epoch,
        position: Position { millis, number: 0 },
    }
}

fn beat(epoch: EpochId, sent: u64, last: u64) -> Beat {
    Beat {
        epoch,
        sent: Tick::from_nanos(sent),
        last: at(epoch, last).position,
    }
}

fn in_epoch_one() -> Progress {
    let progress = Progress::new();
    progress.read(at(ONE, 10));
    progress
}

#[test]
fn heartbeat_counts_once_its_last_entry_was_applied() {
    let progress = in_epoch_one();
    let before = progress.place();
    assert!(progress.beaten(beat(ONE, 100, 10), before));
    assert!(progress.beaten(beat(ONE, 200, 11), before));
    assert_eq!(progress.reached(), Some(Tick::from_nanos(100)));
    assert_eq!(progress.reached(), None);
    progress.read(at(ONE, 12));
    assert_eq!(progress.reached(), Some(Tick::from_nanos(200)));
    assert_eq!(progress.caught_up(), Some(Tick::from_nanos(200)));
}

#[test]
fn heartbeat_of_another_epoch_does_not_count() {
    let progress = in_epoch_one();
    assert!(progress.beaten(beat(TWO, 100, 5), progress.place()));
    assert_eq!(progress.reached(), None);
    progress.followed(ONE, at(TWO, 0));
    assert_eq!(progress.reached(), None);
    progress.read(at(TWO, 5));
    assert_eq!(progress.reached(), Some(Tick::from_nanos(100)));
}

#[test]
fn heartbeats_of_an_ended_epoch_count_as_reached() {
    let progress = in_epoch_one();
    assert!(progress.beaten(beat(ONE, 100, 50), progress.place()));
    progress.followed(ONE, at(TWO, 0));
    assert_eq!(progress.reached(), Some(Tick::from_nanos(100)));
}

#[test]
fn stream_that_ends_before_what_was_read_is_another_one() {
    let progress = in_epoch_one();
    let before = progress.place();
    // Read in the meantime: the heartbeat is only older.
    progress.read(at(ONE, 20));
    assert!(progress.beaten(beat(ONE, 100, 10), before));
    assert!(!progress.take_rewound());
    assert!(!progress.beaten(beat(ONE, 200, 9), before));
    assert!(progress.take_rewound());
    assert!(!progress.take_rewound());
}

#[test]
fn earlier_sessions_heartbeats_are_forgotten() {
    let progress = in_epoch_one();
    for sent in 0..20 {
        assert!(progress.beaten(beat(ONE, sent, 10), progress.place()));
    }
    progress.forget_beats();
    assert_eq!(progress.reached(), None);
}
