//! Whether a customer can be reached, and how it is known: staff see that an address is missing,
//! malformed or warned about by Engage. Engage tells no other sign of validity, so none is made up.

use crate::domain::{Audiences, Profile, Warning, email::Email, phone::Phone};

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressStatus {
    /// Nothing speaks against it.
    Ok,
    /// There is none.
    Missing,
    /// Our parser refuses it.
    Malformed,
    /// Engage warns of it.
    Warned,
}

impl AddressStatus {
    /// The name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            AddressStatus::Ok => "ok",
            AddressStatus::Missing => "missing",
            AddressStatus::Malformed => "malformed",
            AddressStatus::Warned => "warned",
        }
    }
}

/// One way of reaching a customer.
pub struct Channel<'a> {
    /// What is known of the address.
    pub status: AddressStatus,
    /// Whether the customer accepts to be reached that way.
    pub accepted: Option<bool>,
    /// What Engage warns of.
    pub warnings: Vec<&'a Warning>,
}

/// The ways of reaching a customer.
pub struct Contactability<'a> {
    /// By e-mail.
    pub email: Channel<'a>,
    /// By text message.
    pub sms: Channel<'a>,
    /// By post.
    pub postal: Channel<'a>,
}

impl<'a> Contactability<'a> {
    /// What is known from the profile and, where they are held, Engage's warnings.
    pub fn of(
        profile: &'a Profile,
        audiences: Option<&'a Audiences>,
        phone_region: phonenumber::country::Id,
    ) -> Self {
        let warnings = |words: &[&str]| -> Vec<&'a Warning> {
            let all = audiences.map_or(&[][..], |audiences| &audiences.warnings);
            all.iter()
                .filter(|warning| speaks_of(warning, words))
                .collect()
        };
        let status = |value: Option<&str>, reads: &dyn Fn(&str) -> bool, warnings: &[&Warning]| {
            match value {
                None => AddressStatus::Missing,
                Some(value) if !reads(value) => AddressStatus::Malformed,
                Some(_) if !warnings.is_empty() => AddressStatus::Warned,
                Some(_) => AddressStatus::Ok,
            }
        };
        let preferences = &profile.preferences;
        let email_warnings = warnings(&["email", "e-mail"]);
        let sms_warnings = warnings(&["phone"]);
        let postal_warnings = warnings(&["postal"]);
        let postal = profile
            .address
            .street
            .as_deref()
            .or(profile.address.city.as_deref());
        Self {
            email: Channel {
                status: status(
                    profile.email.as_deref(),
                    &|text| Email::parse_held(text).is_some(),
                    &email_warnings,
                ),
                accepted: preferences.accepts_email,
                warnings: email_warnings,
            },
            sms: Channel {
                status: status(
                    profile.mobile_phone.as_deref(),
                    &|text| Phone::parse(text, phone_region).is_some(),
                    &sms_warnings,
                ),
                accepted: preferences.accepts_sms,
                warnings: sms_warnings,
            },
            postal: Channel {
                status: status(postal, &|_| true, &postal_warnings),
                accepted: preferences.accepts_postal,
                warnings: postal_warnings,
            },
        }
    }
}

/// Whether the warning's id or message holds one of the words.
fn speaks_of(warning: &Warning, words: &[&str]) -> bool {
    [&warning.id, &warning.message]
        .into_iter()
        .flatten()
        .map(|text| text.to_ascii_lowercase())
        .any(|text| words.iter().any(|word| text.contains(word)))
}
