//! Whether a customer can be reached by e-mail, text message and post: for each, whether the address is missing,
//! malformed or the subject of a warning by Engage. Engage reports nothing else about validity, so nothing else is
//! claimed.

use crate::domain::{Audiences, Profile, Warning, email::Email, phone::Phone};

/// The state of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AddressStatus {
    /// Present, well-formed and without a warning.
    Ok,
    /// Absent or blank.
    Missing,
    /// Rejected by our parser; never a postal address, which is not parsed.
    Malformed,
    /// Engage warns about it.
    Warned,
}

impl AddressStatus {
    /// The name in answers.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            AddressStatus::Ok => "ok",
            AddressStatus::Missing => "missing",
            AddressStatus::Malformed => "malformed",
            AddressStatus::Warned => "warned",
        }
    }
}

/// One way of reaching a customer.
pub(super) struct ContactMethod<'a> {
    /// The state of the address.
    pub(super) status: AddressStatus,
    /// Whether the customer consents to it.
    pub(super) accepted: Option<bool>,
    /// Engage's warnings about it.
    pub(super) warnings: Vec<&'a Warning>,
}

/// The ways of reaching a customer.
pub(super) struct Contactability<'a> {
    /// By e-mail.
    pub(super) email: ContactMethod<'a>,
    /// By text message.
    pub(super) sms: ContactMethod<'a>,
    /// By post.
    pub(super) postal: ContactMethod<'a>,
}

impl<'a> Contactability<'a> {
    /// Combines the profile with Engage's warnings. The warnings are part of the audiences: without those there are
    /// none.
    pub(super) fn of(
        profile: &'a Profile,
        audiences: Option<&'a Audiences>,
        phone_region: phonenumber::country::Id,
    ) -> Self {
        let warnings = |words: &[&str]| -> Vec<&'a Warning> {
            let all = audiences.map_or(&[][..], |audiences| &audiences.warnings);
            all.iter()
                .filter(|warning| mentions(warning, words))
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
            email: ContactMethod {
                status: status(
                    profile.email.as_deref(),
                    &|text| Email::parse_lenient(text).is_some(),
                    &email_warnings,
                ),
                accepted: preferences.accepts_email,
                warnings: email_warnings,
            },
            sms: ContactMethod {
                status: status(
                    profile.mobile_phone.as_deref(),
                    &|text| Phone::parse(text, phone_region).is_some(),
                    &sms_warnings,
                ),
                accepted: preferences.accepts_sms,
                warnings: sms_warnings,
            },
            postal: ContactMethod {
                status: status(postal, &|_| true, &postal_warnings),
                accepted: preferences.accepts_postal,
                warnings: postal_warnings,
            },
        }
    }
}

/// Whether the warning's id or message contains one of the words.
fn mentions(warning: &Warning, words: &[&str]) -> bool {
    [&warning.id, &warning.message]
        .into_iter()
        .flatten()
        .map(|text| text.to_ascii_lowercase())
        .any(|text| words.iter().any(|word| text.contains(word)))
}
