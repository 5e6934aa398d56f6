//! Checks of `identifiers.unique`.

use crate::{
    config::{Config, mistakes::Mistakes},
    domain::IdentifierKind,
};

const KEY: &str = "identifiers.unique";

impl Config {
    pub(super) fn check_unique(&self, mistakes: &mut Mistakes) {
        let unique = &self.identifiers.unique;
        for (index, kind) in unique.iter().enumerate() {
            let item = format!("{KEY}[{index}]");
            if matches!(kind, IdentifierKind::ContactId | IdentifierKind::Any) {
                mistakes.add(
                    item,
                    "is not a kind that can be unique",
                    "list \"email\", \"mobilePhone\", \"customKey\" or \"socialSecurityNumber\"",
                );
            } else if unique[..index].contains(kind) {
                mistakes.add(item, "is listed before", "list each kind once");
            }
        }
        if unique.contains(&IdentifierKind::CustomKey) && self.engage.custom_key.is_none() {
            mistakes.add(
                KEY,
                "lists customKey while engage.custom_key is unset",
                "set engage.custom_key to the attribute that customKey searches in your tenant",
            );
        }
    }

    /// What an operator must check in Engage before listing kinds in `identifiers.unique`, because Engage's API does
    /// not show it. `None` if no kind is listed.
    pub fn advice_about_unique(&self) -> Option<String> {
        let kinds = self.identifiers.unique.iter().map(|kind| kind.as_str());
        let kinds: Vec<_> = kinds.collect();
        (!kinds.is_empty()).then(|| {
            format!(
                "{KEY} lists {}: Engage's API does not tell whether it keeps two contacts of a type from sharing one; \
                 look it up in the tenant's contact types (key attributes), or ask Voyado",
                kinds.join(", ")
            )
        })
    }
}
