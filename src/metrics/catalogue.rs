//! Every family of metrics of the service, in the order of the documents.

pub mod cache;
pub mod customers;
pub mod engage;
pub mod listeners;
pub mod process;
pub mod shared_tier;
pub mod values;

use super::Definition;

/// Defines families, and the list of them. `NAME = kind, "name" [label: values, label without known values]: "help",
/// "note";`. If not every combination of the values is a series, `from` names a function that lists the series.
macro_rules! families {
    ($(
        $NAME:ident = $kind:expr, $name:literal [$($label:ident $(: $values:expr)?),*] $(from $rows:path)?:
            $help:literal, $note:literal;
    )+) => {
        $(
            #[doc = $help]
            pub static $NAME: $crate::metrics::Definition = $crate::metrics::Definition {
                name: $name,
                kind: $kind,
                labels: &[$($crate::metrics::Label {
                    name: stringify!($label),
                    values: [$($values,)? &[]][0],
                }),*],
                rows: [$($crate::metrics::Rows::Listed($rows),)? $crate::metrics::Rows::Product][0],
                help: $help,
                note: $note,
            };
        )+

        /// All of them.
        pub(super) static ALL: &[&$crate::metrics::Definition] = &[$(&$NAME),+];
    };
}
use families;

/// Every family, in the order of the documents.
pub fn all() -> impl Iterator<Item = &'static Definition> {
    [
        customers::ALL,
        listeners::ALL,
        engage::ALL,
        cache::ALL,
        shared_tier::ALL,
        process::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The family of that name, with or without the prefix.
pub fn find(name: &str) -> Option<&'static Definition> {
    all().find(|family| family.name == name || family.full_name() == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::metrics::Kind;

    #[test]
    fn names_are_unique_and_end_as_their_kind_requires() {
        let names: BTreeSet<_> = all().map(|family| family.name).collect();
        assert_eq!(names.len(), all().count());
        for Definition { name, kind, .. } in all() {
            match kind {
                Kind::Counter => assert!(name.ends_with("_total"), "{name}"),
                Kind::Gauge => assert!(!name.ends_with("_total"), "{name}"),
                Kind::Histogram(bounds) => {
                    assert!(name.ends_with("_seconds"), "{name}");
                    assert!(bounds.is_sorted_by(|one, next| one < next), "{name}");
                }
            }
        }
    }

    #[test]
    fn help_is_one_line_and_begins_like_a_sentence() {
        for family in all() {
            let help = family.help;
            assert!(help.starts_with(char::is_uppercase), "{}", family.name);
            assert!(
                !help.ends_with('.') && !help.contains(['\n', '|', '`']),
                "{help}"
            );
        }
    }
}
