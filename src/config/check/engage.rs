//! Checks of `[engage]`.

use super::bounds::LEAST_RATE;
use crate::{
    config::{
        Config,
        authorities::check_authorities,
        files,
        hosts::{is_host, names_loopback},
        mistakes::Mistakes,
        secret_files::given,
    },
    domain::ContactType,
};

impl Config {
    pub(super) fn check_engage(&self, mistakes: &mut Mistakes) {
        let engage = &self.engage;
        if let Err(what) = base_url(&engage.base_url, engage.allow_plain_http) {
            mistakes.add(
                "engage.base_url",
                what,
                "give https://{client}.voyado.com without a path (plain http on loopback only)",
            );
        }
        let api_key = given(engage.api_key.as_ref());
        if api_key.is_empty() {
            mistakes.add(
                "engage.api_key",
                "is missing",
                "give BFF_ENGAGE__API_KEY or BFF_ENGAGE__API_KEY_FILE",
            );
        } else if api_key.bytes().any(|byte| !byte.is_ascii_graphic()) {
            mistakes.add(
                "engage.api_key",
                "contains spaces or characters outside ASCII",
                "copy the key exactly as Voyado issued it",
            );
        }
        if !is_user_agent(&engage.user_agent) {
            mistakes.add(
                "engage.user_agent",
                "is not of the form Product/Version",
                "give one such as \"shop/1.0\" in ASCII; more may follow after a space",
            );
        }
        if let Some(contact_type) = &engage.default_contact_type
            && ContactType::parse(contact_type).is_none()
        {
            mistakes.add(
                "engage.default_contact_type",
                "is not a contact type",
                "give one of the tenant's, such as \"Member\"",
            );
        }
        if jiff::tz::TimeZone::get(&engage.time_zone).is_err() {
            mistakes.add(
                "engage.time_zone",
                "is not a time zone",
                "give an IANA name such as \"Europe/Stockholm\"",
            );
        }
        self.check_ca_file(mistakes);
    }

    fn check_ca_file(&self, mistakes: &mut Mistakes) {
        let Some(path) = &self.engage.ca_file else {
            return;
        };
        let remedy = "give the path of a file of certificates (PEM)";
        let what = match files::bytes(path) {
            Ok(pem) => match check_authorities(&pem) {
                Ok(()) => return,
                Err(what) => format!("{what}: {}", path.display()),
            },
            Err(fault) => fault.what_at(&files::shown(path)),
        };
        mistakes.add("engage.ca_file", what, remedy);
    }

    pub(super) fn check_burst(&self, mistakes: &mut Mistakes) {
        let engage = &self.engage;
        if engage.replicas > 0 && !engage.burst.is_multiple_of(engage.replicas) {
            mistakes.add(
                "engage.burst",
                "is not a multiple of engage.replicas",
                "give a multiple, so that each replica gets a whole share",
            );
        }
        let share = engage.requests_per_second / f64::from(engage.replicas.max(1));
        if engage.requests_per_second >= LEAST_RATE && share < LEAST_RATE {
            mistakes.add(
                "engage.requests_per_second",
                "is too low to be divided among engage.replicas",
                "give at least 0.001 per replica",
            );
        }
    }
}

/// Whether the text begins with a product and its version, which Engage requires, and is a valid header value (RFC
/// 9110, 10.1.5).
fn is_user_agent(text: &str) -> bool {
    let is_token = |text: &str| {
        let is_char = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(is_char)
    };
    let product = text.split(' ').next().unwrap_or_default();
    let parts = product.split_once('/');
    parts.is_some_and(|(product, version)| is_token(product) && is_token(version))
        && text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

/// Whether the URL leads to this machine.
pub(super) fn leads_to_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    names_loopback(host.trim_matches(['[', ']']))
}

/// Checks the URL of Engage.
fn base_url(text: &str, allow_plain_http: bool) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("is missing");
    }
    let url = reqwest::Url::parse(text).map_err(|_| "is not a URL")?;
    if url.domain().is_some_and(|name| !is_host(name)) {
        return Err("has an invalid host name");
    }
    match url.scheme() {
        "https" => {}
        "http" if leads_to_loopback(&url) || allow_plain_http => {}
        _ => return Err("is not https"),
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err("has a path, a query or a fragment");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a credential");
    }
    if url.port() == Some(0) {
        return Err("has port 0");
    }
    Ok(())
}
