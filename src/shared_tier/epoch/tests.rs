use super::*;

fn limits() -> StreamLimits {
    StreamLimits {
        keep: std::time::Duration::from_secs(60),
    }
}

#[test]
fn any_key_unwraps_and_another_than_the_first_rewraps() {
    let (offer, epoch) = Keys::of(&[1]).offer(limits()).expect("a key");
    let contact = crate::domain::ContactId::parse("6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01");
    let contact = contact.expect("a contact id");
    let name = epoch.names.contact(contact);
    let unwrap = |keys: &[u8], wrapped: &[u8]| Keys::of(keys).unwrap(offer.id, wrapped);
    let same = unwrap(&[1, 2], &offer.wrapped_secret).expect("the first key");
    assert!(same.rewrapped.is_none());
    assert!(same.epoch.names.contact(contact) == name);
    let other = unwrap(&[3, 2, 1], &offer.wrapped_secret).expect("the last key");
    let rewrapped = other.rewrapped.expect("wrapped anew");
    let again = unwrap(&[3], &rewrapped).expect("the new key");
    assert!(again.rewrapped.is_none());
    assert!(again.epoch.names.contact(contact) == name);
    assert!(unwrap(&[2, 3], &offer.wrapped_secret).is_none());
    assert!(unwrap(&[1], b"").is_none());
}

#[test]
fn offers_differ_and_need_a_key() {
    let keys = Keys::of(&[1]);
    let (one, _) = keys.offer(limits()).expect("a key");
    let (other, _) = keys.offer(limits()).expect("a key");
    assert_ne!(one.id, other.id);
    assert_ne!(one.wrapped_secret, other.wrapped_secret);
    assert!(Keys::of(&[]).offer(limits()).is_none());
}
