//! What a caller may see of a customer, and the shape in which it is requested.

use std::time::Duration;

use crate::domain::{Channel, PartSet};

/// The set of fields in a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    /// The fields that shoppers may see about themselves.
    Storefront,
    /// The fields that staff may see.
    Full,
}

/// The shape of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The set of fields.
    pub view: View,
    /// The channel whose promotions are listed; `None` for every channel.
    pub channel: Option<Channel>,
    /// The requested parts.
    pub requested: PartSet,
    /// How soon something must expire to be listed under `expiringSoon`.
    pub expiring_within: Duration,
}

/// What each view shows, and how responses are written.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The attributes of the storefront view.
    pub storefront: Attributes,
    /// The attributes of the full view.
    pub full: Attributes,
    /// The default window: only responses with this window are kept rendered.
    pub expiring_within: Duration,
    /// The definition whose balance is `points.balance`.
    pub default_point_definition: Option<Box<str>>,
    /// The country of phone numbers that are written without a calling code.
    pub phone_region: phonenumber::country::Id,
}

/// The attributes of Engage that a view shows in addition to the response's own fields.
#[derive(Clone, Debug)]
pub struct Attributes {
    names: Vec<Box<str>>,
    all: bool,
}

/// The national id is shown only if it is listed by name; `"*"` does not include it.
const NATIONAL_ID: &str = "socialSecurityNumber";

impl Attributes {
    /// The attributes of these names; `"*"` stands for all but the national id.
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
    pub fn includes_national_id(&self) -> bool {
        self.names.iter().any(|listed| &**listed == NATIONAL_ID)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn national_id_is_listed_only_by_name() {
        let includes = |name: &str| Attributes::new(&[name.to_owned()]).includes_national_id();
        assert!(includes("socialSecurityNumber"));
        assert!(!includes("*"));
        assert!(!includes("firstName"));
    }
}
