use proptest::prelude::*;

use super::*;

fn fields() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(any::<Vec<u8>>(), 0..5)
}

fn slices(fields: &[Vec<u8>]) -> Vec<&[u8]> {
    fields.iter().map(Vec::as_slice).collect()
}

fn seals_of(secret: &EpochSecret) -> [u8; KEY] {
    secret.derive("seals")
}

proptest! {
    #[test]
    fn sealed_messages_open_in_their_context(secret in any::<[u8; 32]>(), context in fields(), plain in any::<Vec<u8>>()) {
        let sealer = Sealer::new(&EpochSecret::fixed(secret));
        let sealed = sealer.seal(&slices(&context), &plain);
        prop_assert_eq!(sealed.len(), NONCE_LEN + plain.len() + TAG);
        prop_assert_eq!(sealer.open(&slices(&context), &sealed), Some(plain));
    }

    #[test]
    fn sealed_messages_open_in_no_other_context(context in fields(), other in fields(), plain in any::<Vec<u8>>()) {
        prop_assume!(context != other);
        let sealer = Sealer::new(&EpochSecret::fixed([7; 32]));
        let sealed = sealer.seal(&slices(&context), &plain);
        prop_assert_eq!(sealer.open(&slices(&other), &sealed), None);
    }

    #[test]
    fn encoded_fields_differ_where_the_fields_do(some in fields(), others in fields()) {
        prop_assert_eq!(encoded(&slices(&some)) == encoded(&slices(&others)), some == others);
    }

    #[test]
    fn fields_cut_elsewhere_are_encoded_differently(bytes in any::<Vec<u8>>(), cut in any::<prop::sample::Index>(), other in any::<prop::sample::Index>()) {
        let [cut, other] = [cut, other].map(|cut| cut.index(bytes.len() + 1));
        let fields = |cut: usize| encoded(&[&bytes[..cut], &bytes[cut..]]);
        prop_assert_eq!(fields(cut) == fields(other), cut == other);
        prop_assert_ne!(fields(cut), encoded(&[&bytes]));
    }

    #[test]
    fn changed_messages_do_not_open(plain in any::<Vec<u8>>(), bit in any::<prop::sample::Index>()) {
        let sealer = Sealer::new(&EpochSecret::fixed([7; 32]));
        let mut sealed = sealer.seal(&[b"role"], &plain).to_vec();
        let bit = bit.index(8 * sealed.len());
        sealed[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(sealer.open(&[b"role"], &sealed), None);
    }

    #[test]
    fn whatever_was_not_sealed_does_not_open(bytes in any::<Vec<u8>>(), keys in any::<Vec<[u8; 32]>>()) {
        prop_assert_eq!(Sealer::new(&EpochSecret::fixed([7; 32])).open(&[], &bytes), None);
        prop_assert!(EpochSecret::unwrap(&keys, &bytes).is_none());
    }

    #[test]
    fn wrapped_secret_is_unwrapped_by_its_key_alone(secret in any::<[u8; 32]>(), key in any::<[u8; 32]>(), others in any::<Vec<[u8; 32]>>(), at in any::<prop::sample::Index>()) {
        prop_assume!(!others.contains(&key));
        let secret = EpochSecret::fixed(secret);
        let wrapped = secret.wrap(&key);
        prop_assert!(EpochSecret::unwrap(&others, &wrapped).is_none());
        let at = at.index(others.len() + 1);
        let mut keys = others;
        keys.insert(at, key);
        let (unwrapped, index) = EpochSecret::unwrap(&keys, &wrapped).expect("the key is among them");
        prop_assert_eq!(index, at);
        prop_assert_eq!(seals_of(&unwrapped), seals_of(&secret));
    }
}

#[test]
fn each_flipped_bit_of_a_wrapped_secret_is_noticed() {
    let wrapped = EpochSecret::random().wrap(&[1; 32]);
    assert_eq!(wrapped.len(), 1 + NONCE_LEN + KEY + TAG);
    for bit in 0..8 * wrapped.len() {
        let mut changed = wrapped.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(EpochSecret::unwrap(&[[1; 32]], &changed).is_none(), "{bit}");
    }
    for length in 0..wrapped.len() {
        assert!(EpochSecret::unwrap(&[[1; 32]], &wrapped[..length]).is_none());
    }
}

#[test]
fn secrets_and_nonces_are_random() {
    let [one, other] = [(); 2].map(|()| EpochSecret::random());
    assert_ne!(seals_of(&one), seals_of(&other));
    let [one, other] = [(); 2].map(|()| Sealer::new(&other).seal(&[], b"the same"));
    assert_ne!(one[..NONCE_LEN], other[..NONCE_LEN]);
}

#[test]
fn keys_for_different_purposes_differ() {
    let secret = EpochSecret::fixed([7; 32]);
    assert_ne!(secret.derive("names"), secret.derive("seals"));
    assert_ne!(secret.derive("names"), [7; 32]);
}

#[test]
fn debug_is_redacted() {
    let secret = EpochSecret::fixed([7; 32]);
    assert_eq!(format!("{secret:?}"), "EpochSecret(…)");
    assert_eq!(format!("{:?}", Sealer::new(&secret)), "Sealer(…)");
}

/// If it fails: raise `WRAP_FORMAT`, and replace the text here.
#[test]
fn secret_that_an_earlier_build_wrapped_is_unwrapped() {
    let wrapped = hex(WRAPPED);
    let (secret, index) = EpochSecret::unwrap(&[[2; 32], [1; 32]], &wrapped).unwrap_or_else(|| {
        let wrapped = EpochSecret::fixed([7; 32]).wrap(&[1; 32]);
        panic!("not unwrapped; if the change is intended, the new text is {wrapped:02x?}")
    });
    assert_eq!(index, 1);
    assert_eq!(seals_of(&secret), seals_of(&EpochSecret::fixed([7; 32])));
}

const WRAPPED: &str = "01797a326c43f7f6071feffcf509faa3a16d9acfc3bf341f0660dfa086bdc546c7b04498f7ba072920f7c8fd1e\
    df7e62c9c52d04285cbb6a3cc8d979e0";

fn hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(byte).collect()
}
