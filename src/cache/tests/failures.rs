//! For how long a call that failed is not repeated.

use super::*;

#[test]
fn back_off_doubles_with_each_failure_after_it_and_ends_with_an_invalidation() {
    let (cache, clock) = cache();
    let call = CallKey::Overview(contact('1'));
    let fail = || cache.note_failure(&call, cache.begin(), None, "slow");
    let left = || {
        let failure = cache.failure(&call, cache.clock.tick());
        failure.map(|(_, left)| left)
    };
    cache.switch(false);
    fail();
    cache.switch(true);
    assert_eq!(left(), None);
    assert!(fail());
    assert_eq!(left(), Some(MINUTE / 2));
    clock.advance(MINUTE / 2);
    assert_eq!(left(), None);
    assert!(!fail());
    assert_eq!(left(), Some(MINUTE));
    // Within its back-off, for a request that wants fresh data.
    clock.advance(MINUTE / 4);
    assert!(!fail());
    assert_eq!(left(), Some(MINUTE));
    cache.invalidate(contact('1'), Part::Points.into());
    assert_eq!(left(), None);
    assert!(fail());
    assert_eq!(left(), Some(MINUTE / 2));
}
