//! What a caller may see of a customer, and in which shape it is requested.

use std::time::Duration;

use crate::domain::{Channel, PartSet};

/// Which fields an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// What shoppers may see of themselves.
    Storefront,
    /// What staff may see.
    Full,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Which fields.
    pub view: View,
    /// The channel whose promotions are listed; `None` = every channel's.
    pub channel: Option<Channel>,
    /// Which parts.
    pub asked: PartSet,
    /// How soon something must expire to be listed under `expiringSoon`.
    pub expiring_within: Duration,
}

/// What each view shows, and how answers are written.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The attributes of the storefront view.
    pub storefront: Attributes,
    /// The attributes of the full view.
    pub full: Attributes,
    /// The window of answers that are kept rendered.
    pub expiring_within: Duration,
    /// The definition whose balance is `points.balance`.
    pub default_point_definition: Option<Box<str>>,
    /// The country of phone numbers that are written without a calling code.
    pub phone_region: phonenumber::country::Id,
}

/// Which of Engage's attributes a view shows besides the answer's own fields.
#[derive(Clone, Debug)]
pub struct Attributes {
    names: Vec<Box<str>>,
    all: bool,
}

/// The national id is shown only where it is listed by name, whatever `"*"` says.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Attributes {
    /// The attributes of these names; `"*"` stands for all of them.
    pub fn new(names: &[String]) -> Self {
        Self {
            names: names.iter().map(|name| name.as_str().into()).collect(),
            all: names.iter().any(|name| name == "*"),
        }
    }

    /// Whether the attribute is shown.
    pub fn allows(&self, name: &str) -> bool {
        self.names.iter().any(|listed| &**listed == name) || (self.all && name != NATIONAL_ID)
    }

    /// Whether the national id is listed by name.
    pub fn list_national_id(&self) -> bool {
        self.names.iter().any(|listed| &**listed == NATIONAL_ID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_id_is_listed_by_name_alone() {
        let lists = |name: &str| Attributes::new(&[name.to_owned()]).list_national_id();
        assert!(lists("socialSecurityNumber"));
        assert!(!lists("*"));
        assert!(!lists("firstName"));
    }
}
