//! The stored form does not change without a new format.

use std::{fmt::Write as _, fs, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use super::*;
use crate::{
    domain::{Promotions, Vouchers},
    shared_tier::value::{
        alias::{StoredAliasContent, StoredNegative},
        part::StoredPart,
    },
};

const INSTRUCTION: &str = "the stored form has changed: replicas of this version can't read what those of the last one \
    store. Raise FORMAT in src/shared_tier/value.rs (PAYLOAD_FORMAT for payloads) and write the file of the new format \
    with SHARED_TIER_WRITE_FORMAT=1. Do not change the file of a released format.";

fn file() -> PathBuf {
    let name = format!("src/shared_tier/value/tests/format-{FORMAT}.txt");
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digits).collect()
}

/// The serialized content of every kind of value.
fn contents() -> Vec<(String, Vec<u8>)> {
    fn part<T: Serialize>(data: &crate::cache::parts::Entry<T>) -> Vec<u8> {
        serialized(&StoredPart {
            contact: *id(1).as_uuid().as_bytes(),
            source: data.provenance.source,
            incomplete: data.incomplete,
            differed_before: Some(61_234),
            digests: sealer().digests(),
            data: &*data.data,
        })
    }
    fn serialized(content: &impl Serialize) -> Vec<u8> {
        postcard::to_allocvec(content).expect("content can be written")
    }
    let parts = complete();
    let mut contents = vec![
        ("profile".to_owned(), parts.profile.as_ref().map(part)),
        ("audiences".to_owned(), parts.audiences.as_ref().map(part)),
        ("promotions".to_owned(), parts.promotions.as_ref().map(part)),
        ("vouchers".to_owned(), parts.vouchers.as_ref().map(part)),
        ("points".to_owned(), parts.points.as_ref().map(part)),
    ];
    let alias = StoredAliasContent {
        contact: *id(1).as_uuid().as_bytes(),
        source: FetchSource::Overview,
        confirmed: true,
    };
    contents.push(("alias".to_owned(), Some(serialized(&alias))));
    for (number, why) in reasons().into_iter().enumerate() {
        let source = FetchSource::Entity;
        let negative = serialized(&StoredNegative { source, why });
        contents.push((format!("negative-{number}"), Some(negative)));
    }
    let is_there = |(kind, content): (String, Option<Vec<u8>>)| Some((kind, content?));
    contents.into_iter().filter_map(is_there).collect()
}

/// A sealed value of each kind. These are opened, not compared, because sealing is random.
fn sealed() -> Vec<(String, Vec<u8>)> {
    let parts = complete();
    let part = |part: Part| {
        let value = encode(part, &parts).expect("complete");
        (format!("sealed-{}", part.as_str()), value.sealed.to_vec())
    };
    let mut sealed: Vec<_> = Part::ALL.into_iter().map(part).collect();
    let source = FetchSource::Entity;
    let alias = encode_alias(&sealer(), ALIAS, id(1), source, true, AT, LIFETIME);
    sealed.push(("sealed-alias".to_owned(), alias.sealed.to_vec()));
    let negative = encode_negative(&sealer(), ALIAS, source, &reasons()[2], AT, LIFETIME);
    let negative = negative.expect("short").sealed;
    sealed.push(("sealed-negative".to_owned(), negative.to_vec()));
    let payload = seal_payload(&sealer(), EpochId(1), b"apply this");
    sealed.push(("sealed-payload".to_owned(), payload.to_vec()));
    sealed
}

/// The lines of the file of this format.
#[expect(
    clippy::disallowed_methods,
    reason = "asks the developer, not the configuration"
)]
fn golden() -> Vec<(String, Vec<u8>)> {
    if std::env::var_os("SHARED_TIER_WRITE_FORMAT").is_some() {
        let line = |(kind, content): (String, Vec<u8>)| format!("{kind} {}\n", hex(&content));
        let text: String = contents().into_iter().chain(sealed()).map(line).collect();
        fs::write(file(), text).expect("the file can be written");
    }
    let text = fs::read_to_string(file()).expect(INSTRUCTION);
    let line = |line: &str| {
        let (kind, content) = line.split_once(' ').expect("kind and content");
        (kind.to_owned(), bytes(content))
    };
    text.lines().map(line).collect()
}

#[test]
fn stored_form_is_that_of_its_format() {
    let golden = golden();
    let expected = golden
        .iter()
        .filter(|(kind, _)| !kind.starts_with("sealed-"));
    let contents = contents();
    assert_eq!(expected.clone().count(), contents.len(), "{INSTRUCTION}");
    for ((kind, content), (golden_kind, golden)) in contents.iter().zip(expected) {
        assert_eq!(kind, golden_kind);
        assert_eq!(hex(content), hex(golden), "{kind}: {INSTRUCTION}");
    }
}

#[test]
fn stored_form_is_read_as_the_same_data() {
    fn read<T: DeserializeOwned>(golden: &[(String, Vec<u8>)], kind: &str) -> T {
        let (_, content) = golden.iter().find(|(found, _)| found == kind).expect(kind);
        let content: Result<StoredPart<T>, _> = postcard::from_bytes(content);
        content.expect(INSTRUCTION).data
    }
    let golden = golden();
    let parts = complete();
    assert!(*parts.profile.expect("one").data == read(&golden, "profile"));
    assert!(*parts.audiences.expect("some").data == read(&golden, "audiences"));
    let promotions: Promotions = read(&golden, "promotions");
    assert!(*parts.promotions.expect("some").data == promotions);
    let vouchers: Vouchers = read(&golden, "vouchers");
    assert!(*parts.vouchers.expect("some").data == vouchers);
    assert!(*parts.points.expect("some").data == read(&golden, "points"));
}

#[test]
fn sealed_values_of_this_format_are_read() {
    let golden = golden();
    let sealed = |kind: &str| {
        let kind = format!("sealed-{kind}");
        let (_, sealed) = golden
            .iter()
            .find(|(found, _)| *found == kind)
            .expect(INSTRUCTION);
        stored(&NewValue {
            lifetime: LIFETIME,
            sealed: sealed.clone().into(),
        })
    };
    let mut found = Parts::default();
    for part in Part::ALL {
        let read = decode(part, &sealed(part.as_str()), &mut found);
        assert_eq!(read, Ok(id(1)), "{INSTRUCTION}");
    }
    assert_same_data(&found, &complete());
    let alias = decode_alias(&sealer(), ALIAS, &sealed("alias"), &read_at());
    assert_eq!(alias.expect(INSTRUCTION).0, id(1));
    let negative = decode_negative(&sealer(), ALIAS, &sealed("negative"), &read_at());
    assert_eq!(negative.expect(INSTRUCTION).why, reasons()[2]);
    let payload = open_payload(&sealer(), EpochId(1), &sealed("payload").sealed);
    assert_eq!(payload.expect(INSTRUCTION), b"apply this");
}
