//! Sequences that are rare among random ones. Each breaks a promise if one safeguard is missing.

use engage_bff::domain::Part;

use crate::{
    ops::{Op, Stretch},
    regressions::{case, check},
    standin::Evicted,
};

/// A read of the first contact.
fn read(replica: usize) -> Op {
    Op::Read {
        replica,
        contact: 0,
        by_email: false,
        fresh: None,
    }
}

/// An edit of the first contact, and its webhook.
fn change(replica: usize) -> Op {
    Op::Change {
        replica,
        contact: 0,
        part: Part::Profile,
    }
}

#[test]
fn failover_that_no_replica_can_notice_brings_nothing_back() {
    let ops = vec![
        read(0),
        Op::Snapshot,
        // The replica that is restarted is the only one that has seen the lost entry.
        Op::Cut(1),
        Op::Cut(2),
        change(0),
        Op::Cut(0),
        Op::FailOver,
        Op::Restart {
            replica: 0,
            gracefully: false,
        },
        Op::Mend(0),
        Op::Mend(1),
        Op::Mend(2),
        Op::Advance(Stretch::Second),
        read(0),
    ];
    check(case(), ops);
}

#[test]
fn replica_that_missed_a_lost_entry_drops_its_memory() {
    for loss in [Op::Trim(0), Op::Evict(Evicted::Stream)] {
        let ops = vec![
            read(1),
            Op::Cut(1),
            change(0),
            loss,
            Op::Mend(1),
            Op::Advance(Stretch::Seconds(6)),
            Op::Advance(Stretch::Seconds(6)),
            read(1),
        ];
        check(case(), ops);
    }
}
