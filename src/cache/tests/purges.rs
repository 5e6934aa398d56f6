//! Purges by identifier: whom their predicates meet, for how long, and how many there may be.

use super::*;

fn purge_of(key: &str) -> IsPurged {
    let key = key.to_owned();
    Arc::new(move |identity, asked| {
        let by = asked.map(Identifier::expose);
        let shows = identity.aliases.custom_keys[0].readings();
        shows.iter().any(|shown| **shown == *key) || by.as_deref() == Some(&*key)
    })
}

fn profile(key: &str) -> PartData {
    let mut profile = Profile::default();
    profile.identity.aliases.custom_keys[0] = crate::domain::FieldValue::One(key.into());
    PartData::Profile(Box::new(profile.into()))
}

#[test]
fn a_purge_meets_what_began_before_it_and_nothing_later() {
    let (pantry, _) = pantry();
    let (before, other) = (pantry.begin(), pantry.begin());
    pantry.purge_where(&purge_of("A-1"));
    let after = pantry.begin();
    let kept = |id, start, data| !pantry.store_part(id, start, data).held().is_empty();
    assert!(!kept(contact('1'), before, profile("A-1")));
    assert!(!kept(
        contact('1'),
        before,
        PartData::Points(Points::default().into())
    ));
    assert!(kept(contact('1'), after, profile("A-1")));
    assert!(kept(contact('2'), other, profile("B-2")));
    // A profile as old says that these are another's; without one they could be anybody's.
    assert!(kept(
        contact('2'),
        other,
        PartData::Points(Points::default().into())
    ));
    assert!(!kept(
        contact('3'),
        other,
        PartData::Points(Points::default().into())
    ));
    assert!(kept(
        contact('3'),
        after,
        PartData::Points(Points::default().into())
    ));
}

#[test]
fn a_contact_that_bears_no_more_what_was_purged_is_met_by_its_older_copy() {
    let (pantry, _) = pantry();
    let old = pantry.begin();
    let points = pantry.begin();
    pantry.purge_where(&purge_of("A-1"));
    pantry.store_part(contact('1'), pantry.begin(), profile("A-2"));
    pantry.store_part(contact('1'), old, profile("A-1"));
    pantry.store_part(
        contact('1'),
        points,
        PartData::Points(Points::default().into()),
    );
    let record = pantry.record(contact('1')).expect("a record");
    assert_eq!(record.held(), Part::Profile.into());
    assert!(record.sequence(Part::Profile) > points.sequence);
}

#[test]
fn a_purge_stands_as_long_as_a_fence_and_one_too_many_is_a_fence_around_everything() {
    let (pantry, clock) = pantry();
    let before = pantry.begin();
    pantry.purge_where(&purge_of("A-1"));
    clock.advance(3 * MINUTE);
    assert!(
        !pantry
            .store_part(contact('1'), before, profile("A-1"))
            .held()
            .is_empty()
    );
    let kept = pantry.begin();
    for number in 0..1000 {
        pantry.purge_where(&purge_of(&number.to_string()));
    }
    assert!(pantry.fences.everything() < kept.sequence);
    pantry.purge_where(&purge_of("one more"));
    assert!(pantry.fences.everything() > kept.sequence);
    assert!(
        pantry
            .store_part(contact('1'), kept, profile("A-1"))
            .held()
            .is_empty()
    );
}
