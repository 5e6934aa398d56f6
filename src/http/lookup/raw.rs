//! The values of a look-up's parameters, each read by itself.

use std::{borrow::Cow, time::Duration};

use super::{
    history::{self, Paging, RequestedParts},
    wait::Wait,
};
use crate::{
    config::duration::days,
    customer::view::View,
    domain::{Channel, ContactType, HistoryPart, IdentifierKind, Part},
    http::{
        error::{ApiError, Code},
        params::{ParamValue, Params},
    },
};

/// Where parameters are in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum ParamLocation {
    /// In the URL, which proxies log.
    Url,
    /// In the body.
    Body,
}

/// What is answered if Engage is unavailable and nothing usable is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::http) enum OnUnavailable {
    /// The failure.
    #[default]
    Fail,
    /// A response about no customer.
    Guest,
}

/// The values of the parameters, before they are checked against each other and the caller's rights.
#[derive(Default)]
pub(super) struct RawLookup<'a> {
    pub(super) identifier: Option<(IdentifierKind, Cow<'a, str>)>,
    pub(super) contact_type: Option<Cow<'a, str>>,
    pub(super) prefer: Option<ContactType>,
    pub(super) on_unavailable: OnUnavailable,
    pub(super) wait: Option<Wait>,
    pub(super) view: Option<View>,
    pub(super) parts: Option<RequestedParts>,
    pub(super) fresh: Option<FreshParam>,
    pub(super) channel: Option<Channel>,
    pub(super) expiring_within: Option<Duration>,
    pub(super) paging: Paging,
}

/// The value of `fresh`.
pub(super) enum FreshParam {
    /// `all`: every requested part.
    All,
    These(RequestedParts),
}

impl<'a> RawLookup<'a> {
    /// Reads a body in which only an identifier and a contact type are allowed.
    pub(super) fn read_identifier(params: Params<'a>) -> Result<Self, ApiError> {
        let is_expected =
            |name: &str| name == "contactType" || IdentifierKind::from_param(name).is_some();
        if let Some((other, _)) = params.0.iter().find(|(name, _)| !is_expected(name)) {
            return Err(ApiError::parameter(other, "unknown parameter"));
        }
        Self::read(params, ParamLocation::Body)
    }

    pub(super) fn read(params: Params<'a>, location: ParamLocation) -> Result<Self, ApiError> {
        let mut raw = Self::default();
        for (name, value) in params.0 {
            if matches!(value, ParamValue::Repeated) {
                return Err(ApiError::parameter(&name, "repeated"));
            }
            if let Some(kind) = IdentifierKind::from_param(&name) {
                let text = text(&name, value)?;
                if raw.identifier.is_some() {
                    return Err(
                        ApiError::new(Code::AmbiguousIdentifier).of_parameter(kind.as_str())
                    );
                }
                raw.identifier = Some((kind, text));
                continue;
            }
            match &*name {
                "contactType" => raw.contact_type = Some(text(&name, value)?),
                "prefer" => raw.prefer = Some(prefer(&text(&name, value)?)?),
                "onUnavailable" => raw.on_unavailable = on_unavailable(&text(&name, value)?)?,
                "wait" => raw.wait = Some(Wait::read(&value)),
                "view" => raw.view = Some(view(&text(&name, value)?)?),
                "channel" => raw.channel = Some(channel(&text(&name, value)?)?),
                "expiringWithin" => {
                    let window = days::parse(&text(&name, value)?);
                    raw.expiring_within =
                        Some(window.ok_or_else(|| {
                            ApiError::parameter(&name, "whole days from 1d to 365d")
                        })?);
                }
                "limit" => raw.paging.limit = Some(history::limit(&value)?),
                "before" => raw.paging.before = Some(history::before(&text(&name, value)?)?),
                "parts" => raw.parts = Some(parts(value, location)?),
                "fresh" => raw.fresh = Some(fresh(value, location)?),
                _ => return Err(ApiError::parameter(&name, "unknown parameter")),
            }
        }
        Ok(raw)
    }
}

fn text<'a>(name: &str, value: ParamValue<'a>) -> Result<Cow<'a, str>, ApiError> {
    match value {
        ParamValue::Text(text) if !text.is_empty() => Ok(text),
        ParamValue::Text(_) => Err(ApiError::parameter(name, "empty")),
        ParamValue::List(_) | ParamValue::Number(_) | ParamValue::Other | ParamValue::Repeated => {
            Err(ApiError::parameter(name, "not a string"))
        }
    }
}

fn prefer(text: &str) -> Result<ContactType, ApiError> {
    ContactType::parse(text).ok_or_else(|| ApiError::parameter("prefer", "not a contact type"))
}

fn on_unavailable(text: &str) -> Result<OnUnavailable, ApiError> {
    match text {
        "guest" => Ok(OnUnavailable::Guest),
        _ => Err(ApiError::parameter("onUnavailable", "guest")),
    }
}

fn view(text: &str) -> Result<View, ApiError> {
    match text {
        "storefront" => Ok(View::Storefront),
        "full" => Ok(View::Full),
        _ => Err(ApiError::parameter("view", "storefront or full")),
    }
}

fn channel(text: &str) -> Result<Channel, ApiError> {
    Channel::from_name(text).ok_or_else(|| ApiError::parameter("channel", "ECOM, POS or OTHER"))
}

fn parts(value: ParamValue<'_>, location: ParamLocation) -> Result<RequestedParts, ApiError> {
    const FORM: &str = "a comma-separated list of points, promotions, vouchers, pointTransactions, redeemedVouchers, purchases, or none; in a body an array, [] for none";
    let names = list("parts", value, FORM, location)?;
    if location == ParamLocation::Url && names == ["none"] {
        return Ok(RequestedParts::EMPTY);
    }
    part_set(&names, "parts", FORM, |part| {
        matches!(part, Part::Points | Part::Promotions | Part::Vouchers)
    })
}

fn fresh(value: ParamValue<'_>, location: ParamLocation) -> Result<FreshParam, ApiError> {
    const FORM: &str = "a comma-separated list of points, promotions, vouchers, profile, pointTransactions, redeemedVouchers, purchases, or all; in a body an array";
    let names = list("fresh", value, FORM, location)?;
    if names == ["all"] {
        return Ok(FreshParam::All);
    }
    part_set(&names, "fresh", FORM, |part| part != Part::Audiences).map(FreshParam::These)
}

/// The items of a list: separated by commas in a URL, an array in a body.
pub(super) fn list(
    name: &str,
    value: ParamValue<'_>,
    form: &str,
    location: ParamLocation,
) -> Result<Vec<String>, ApiError> {
    match value {
        ParamValue::List(items) => Ok(items),
        ParamValue::Text(text) if text.is_empty() => Err(ApiError::parameter(name, "empty")),
        ParamValue::Text(text) if location == ParamLocation::Url => {
            Ok(text.split(',').map(str::to_owned).collect())
        }
        ParamValue::Text(_) | ParamValue::Number(_) | ParamValue::Other | ParamValue::Repeated => {
            Err(ApiError::parameter(name, form))
        }
    }
}

pub(super) fn part_set(
    names: &[String],
    parameter: &str,
    form: &str,
    allowed: impl Fn(Part) -> bool,
) -> Result<RequestedParts, ApiError> {
    let mut requested = RequestedParts::EMPTY;
    let RequestedParts { parts, history } = &mut requested;
    for name in names {
        match (Part::from_name(name), HistoryPart::from_name(name)) {
            (Some(part), _) if allowed(part) && !parts.contains(part) => parts.insert(part),
            (_, Some(part)) if !history.contains(part) => history.insert(part),
            _ => return Err(ApiError::parameter(parameter, form)),
        }
    }
    Ok(requested)
}
