use super::*;

fn store(max_weight: u64) -> Store<u32, usize> {
    Store::new(max_weight, |_, weight| *weight)
}

fn held(store: &Store<u32, usize>) -> Vec<u32> {
    let mut keys = Vec::new();
    store.for_each(|key, _| keys.push(*key));
    keys.sort_unstable();
    keys
}

#[test]
fn what_is_put_is_found_until_it_is_removed() {
    let store = store(1 << 30);
    for key in 0..10_000 {
        store.update(key, |held| {
            assert_eq!(held, None);
            Op::Put(key as usize)
        });
    }
    store.retain(|key, _| key % 3 != 0);
    for key in (0..10_000).filter(|key| key % 5 == 0) {
        store.remove(key);
    }
    let expected = |key: &u32| !key.is_multiple_of(3) && !key.is_multiple_of(5);
    for key in 0..10_000 {
        let value = expected(&key).then_some(key as usize);
        assert_eq!(store.get(&key), value, "{key}");
    }
    let expected: Vec<_> = (0..10_000).filter(expected).collect();
    let weight = expected.iter().map(|key| u64::from(*key)).sum();
    assert_eq!(held(&store), expected);
    assert_eq!(store.size(), (expected.len() as u64, weight));
    store.clear();
    assert_eq!(store.size(), (0, 0));
    assert_eq!(store.get(&1), None);
}

#[test]
fn its_weight_is_never_more_than_it_may_be() {
    let store = store(1000);
    for key in 0..5000 {
        store.update(key, |_| Op::Put(1 + key as usize * 7 % 300));
        assert!(store.size().1 <= 1000);
    }
    assert!(store.size().1 > 500);
    let (count, _) = store.size();
    store.update(5000, |_| Op::Put(1001));
    assert_eq!(store.get(&5000), None);
    assert_eq!(store.size().0, count);
    store.update(4999, |held| Op::Put(held.expect("the newest") + 1001));
    assert_eq!(store.get(&4999), None);
}

#[test]
fn whoever_is_read_often_stays_while_others_are_read_once() {
    let store = store(100);
    let ask = |key| {
        store.update(key, |_| Op::Put(1));
        assert_eq!(store.get(&key), Some(1));
    };
    (0..100).for_each(ask);
    for key in 100..1000 {
        for often in 0..50 {
            assert_eq!(store.get(&often), Some(1));
        }
        ask(key);
    }
    assert_eq!(held(&store)[..50], (0..50).collect::<Vec<_>>());
    // And leaves when nobody wants it any more.
    (1000..2000).for_each(ask);
    assert!(held(&store)[0] >= 1000);
    assert_eq!(store.size().0, 100);
}

#[test]
fn who_was_not_read_is_looked_after_and_who_was_is_left_alone_for_once() {
    let store = store(1 << 20);
    for key in 0..1000 {
        store.update(key, |_| Op::Put(4));
    }
    // All are new.
    store.maintain(|_| unreachable!("all are warm"));
    (0..500).for_each(|key| assert_eq!(store.get(&key), Some(4)));
    store.maintain(|weight| Op::Put(weight / 2));
    assert_eq!(store.size(), (1000, 500 * 4 + 500 * 2));
    store.maintain(|weight| if *weight == 4 { Op::Remove } else { Op::Nop });
    assert_eq!(held(&store), (500..1000).collect::<Vec<_>>());
    assert_eq!(store.size(), (500, 500 * 2));
}

#[test]
fn a_value_that_grows_takes_the_room_that_it_needs() {
    let store = store(100);
    for key in 0..10 {
        store.update(key, |_| Op::Put(10));
    }
    store.get(&9);
    store.update(9, |held| Op::Put(held.expect("held") + 30));
    assert_eq!(store.get(&9), Some(40));
    assert_eq!(store.size(), (7, 100));
}

#[test]
fn who_was_read_or_replaced_while_a_change_was_made_is_left_alone() {
    let store = store(1 << 20);
    for key in 0..1000 {
        store.update(key, |_| Op::Put(4));
    }
    let same = |one: &usize, other: &usize| one == other;
    store.settle(|_| true, same, |_| unreachable!("all are warm"));
    store.get(&0);
    let mut changed = 0;
    store.settle(
        |_| true,
        same,
        |weight| {
            changed += 1;
            // Somebody is read, then two are replaced.
            match changed {
                1 => drop(store.get(&500)),
                2 => [501, 502].into_iter().for_each(|key| {
                    store.update(key, |_| Op::Put(5));
                }),
                _ => {}
            }
            Op::Put(weight / 2)
        },
    );
    let weights = |keys: std::ops::Range<u32>| -> Vec<usize> {
        keys.map(|key| store.get(&key).expect("held")).collect()
    };
    assert_eq!(weights(0..2), [4, 2]);
    assert_eq!(weights(499..504), [2, 4, 5, 5, 2]);
    assert_eq!(store.size(), (1000, 2 * 1000 + 2 * 2 + 2 * 3));
    let held: usize = store.snapshots().map(|shard| shard.len()).sum();
    assert_eq!(held, 1000);
}

#[test]
fn what_is_not_due_is_not_changed_and_what_is_may_leave() {
    let store = store(1 << 20);
    for key in 0..1000_u32 {
        store.update(key, |_| Op::Put(key as usize));
    }
    let same = |one: &usize, other: &usize| one == other;
    let is_even = |weight: &usize| weight.is_multiple_of(2);
    for _ in 0..3 {
        store.settle(is_even, same, |_| Op::Remove);
    }
    assert_eq!(held(&store), (1..1000).step_by(2).collect::<Vec<_>>());
    assert_eq!(store.size(), (500, 250_000));
}
