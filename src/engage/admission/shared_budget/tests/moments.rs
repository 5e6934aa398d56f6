//! Rules that matter only for a moment, which random runs rarely hit: everything that may be used is used at once.

use std::time::Duration;

use super::{
    BURST, RATE,
    server::{Command, Millis, Server, Without},
    strict_bound_is_kept,
};
use crate::{clock::Tick, rate::Bucket};

fn tick(millis: Millis) -> Tick {
    Tick::from(Duration::from_millis(millis))
}

/// The request of a replica that holds this many tokens.
fn command(replica: u64, number: u64, (held, wanted): (u32, u32), lent_until: Millis) -> Command {
    Command {
        replica,
        number,
        wanted,
        held,
        returned: 0,
        known_replicas: 3,
        lent_until,
        pause: None,
    }
}

/// The calls of one of three replicas within a second from `now`: it calls whenever its own share, which begins empty
/// at `from`, has a token.
fn own_calls(from: Tick, now: Millis) -> impl Iterator<Item = Millis> {
    let mut own = Bucket::empty(RATE / 3.0, BURST / 3.0, from);
    (now..now + 1000).filter(move |at| own.take(tick(*at)).is_ok())
}

/// Three replicas hold the whole burst when the budget is lost, lend again at once, and spend all that they have just
/// before the first tokens lapse. Returns the times of their calls.
fn calls_after_a_loss(without: Without) -> Vec<Millis> {
    let mut server = Server::new(without, 0);
    let mut held = [0; 3];
    for (number, now, wanted) in [
        (1, 0, 0),
        (2, 1000, 4),
        (3, 1010, 0),
        (4, 1050, 4),
        (5, 1090, 4),
    ] {
        if number == 3 {
            server = Server::new(without, now);
        }
        for (replica, held) in (0..).zip(&mut held) {
            let command = command(replica, number, (*held, wanted), now + 2000);
            *held += server.run(command, now).granted;
        }
    }
    let held: u32 = held.iter().sum();
    (0..held).map(|_| 1099).collect()
}

#[test]
fn new_budget_gives_nothing_while_tokens_of_the_lost_one_are_used() {
    let calls = calls_after_a_loss(Without::Nothing);
    assert_eq!(calls.len(), 10);
    assert!(strict_bound_is_kept(&calls));
    let calls = calls_after_a_loss(Without::Emptiness);
    assert!(!strict_bound_is_kept(&calls), "{calls:?}");
}

/// The third replica is cut off. The two others lease the whole burst just before its loan ends, and spend the tokens
/// just before they lapse. The third calls within its own share, which begins empty at `own_from`, from `spent_from`
/// on. Returns the times of all calls.
fn calls_after_a_cut(own_from: Tick, spent_from: Millis) -> Vec<Millis> {
    let mut server = Server::new(Without::Nothing, 0);
    for replica in 0..3 {
        let until = if replica == 0 { 2000 } else { 4000 };
        server.run(command(replica, 1, (0, 0), until), 0);
    }
    let granted = [1, 2].map(|replica| server.run(command(replica, 2, (0, 5), 4000), 1999).granted);
    assert_eq!(granted, [5, 5]);
    let mut calls: Vec<_> = own_calls(own_from, spent_from).chain([2098; 10]).collect();
    calls.sort_unstable();
    calls
}

#[test]
fn own_share_begins_empty_when_tokens_of_it_have_lapsed() {
    assert!(strict_bound_is_kept(&calls_after_a_cut(tick(2100), 2000)));
    // Breaks the rule: the share begins as soon as the loan ends.
    let calls = calls_after_a_cut(tick(2000), 2098);
    assert!(!strict_bound_is_kept(&calls), "{calls:?}");
    // Breaks the rule: the share begins in time, but full.
    let full = Duration::from_secs_f64(BURST / RATE);
    let calls = calls_after_a_cut(tick(2100) - full, 2100);
    assert!(!strict_bound_is_kept(&calls), "{calls:?}");
}

/// A replica calls within its own share for long. Its last command, which lends the share until 1200, arrives at 5000;
/// then another replica leases all available tokens. Returns the times of all calls; `arrives_as` is the time until
/// which the command lends, as the server reads it.
fn calls_after_a_late_command(arrives_as: Millis) -> Vec<Millis> {
    let mut server = Server::new(Without::Nothing, 0);
    for replica in 0..3 {
        let until = if replica == 0 { 1000 } else { 9000 };
        server.run(command(replica, 1, (0, 0), until), 0);
    }
    server.run(command(1, 2, (0, 0), 9000), 4990);
    server.run(command(0, 2, (0, 0), arrives_as), 5000);
    let granted = server.run(command(1, 3, (0, 12), 9000), 5199).granted;
    let own = own_calls(tick(1300), 5199);
    let mut calls: Vec<_> = own.chain((0..granted).map(|_| 5199)).collect();
    calls.sort_unstable();
    calls
}

#[test]
fn command_that_arrives_late_lends_nothing() {
    assert!(strict_bound_is_kept(&calls_after_a_late_command(1200)));
    assert!(!strict_bound_is_kept(&calls_after_a_late_command(5200)));
}
