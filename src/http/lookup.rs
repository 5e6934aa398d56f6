//! Parses parameters into a look-up and the shape of its response. Values that cannot be valid are refused here, before
//! they cost an upstream call.

mod history;
mod raw;
mod wait;

use std::time::Duration;

use jiff::{civil::Date, tz::TimeZone};

pub(super) use self::raw::{OnUnavailable, ParamLocation};
use self::{
    history::RequestedParts,
    raw::{FreshParam, RawLookup, list, part_set},
};
use super::{
    auth::Caller,
    directives::Directives,
    error::{ApiError, Code},
    params::{ParamValue, Params},
};
use crate::{
    clock::Now,
    config::Scope,
    customer::{
        HistoryQuery,
        view::{Shape, View},
    },
    domain::{
        ContactType, Digester, HistorySet, Identifier, IdentifierError, IdentifierKind,
        IdentifierRules, Lookup, Part, PartSet, identifier::AnyIdentifier, national_id::NationalId,
    },
};

const PHONE_NUMBER_IN_URL: &str =
    "mobilePhone: not a phone number; write it with its country code, such as %2B46701740699.";

/// The rules by which look-ups are parsed.
pub struct LookupRules {
    /// The rules of identifiers.
    pub identifiers: IdentifierRules,
    /// The contact type of look-ups without one; not applied to contact ids.
    pub default_contact_type: Option<ContactType>,
    /// The default window of `expiringSoon`.
    pub expiring_within: Duration,
    /// Whether a national id is accepted in a URL.
    pub allow_national_id_in_url: bool,
    /// Makes the keyed digests that replace national ids in keys, and contact ids in the log and in what operators
    /// read.
    pub digester: Digester,
    /// The time zone of "today", which decides the century of ten-digit national ids.
    pub time_zone: TimeZone,
    /// The longest that a caller waits.
    pub request_timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_body: usize,
    /// The longest time that a body may take to arrive.
    pub body_timeout: Duration,
}

/// A look-up that the caller may make, and the shape of its response.
#[derive(Debug)]
pub(super) struct ParsedLookup {
    pub(super) lookup: Lookup,
    /// The parameter that contains the identifier; `None` if the token does.
    pub(super) parameter: Option<&'static str>,
    pub(super) prefer: Option<ContactType>,
    pub(super) on_unavailable: OnUnavailable,
    /// How long the caller waits, where that is less than [`LookupRules::request_timeout`].
    pub(super) wait: Option<Duration>,
    pub(super) fresh: PartSet,
    pub(super) shape: Shape,
    /// What is requested of the contact's history, if anything is.
    pub(super) history: Option<HistoryQuery>,
}

impl LookupRules {
    /// Parses a look-up by identifier. Fails if the caller may not make it.
    pub(super) fn read(
        &self,
        params: Params<'_>,
        location: ParamLocation,
        caller: &Caller,
        directives: &Directives,
        now: Now,
    ) -> Result<ParsedLookup, ApiError> {
        caller.require(Scope::Read)?;
        let raw = RawLookup::read(params, location)?;
        let lookup = self.lookup_of(&raw, location, caller, now)?;
        self.parse(lookup, &raw, caller, directives)
    }

    /// Parses a look-up in which a shopper requests its own data.
    pub(super) fn read_own(
        &self,
        params: Params<'_>,
        caller: &Caller,
        directives: &Directives,
    ) -> Result<ParsedLookup, ApiError> {
        caller.require(Scope::Read)?;
        let mut raw = RawLookup::read(params, ParamLocation::Url)?;
        if let Some((kind, _)) = raw.identifier {
            return Err(ApiError::parameter(
                kind.as_str(),
                "not allowed here: the token identifies the customer",
            ));
        }
        let identifier = caller.own_identifier()?;
        // The token decides the identifier: a page does not know whether there are several contacts to choose from.
        if identifier.kind() == IdentifierKind::ContactId && raw.contact_type.is_none() {
            raw.prefer = None;
        }
        let contact_type = self.narrowed_to(identifier.kind(), &raw)?;
        let lookup = Lookup::new(identifier, contact_type, &self.digester)
            .with_type_by_default(raw.contact_type.is_none());
        self.parse(lookup, &raw, caller, directives)
    }

    /// Parses an operator's identifier: one, with or without a contact type, and no other parameter.
    pub(super) fn read_identifier(&self, params: Params<'_>, now: Now) -> Result<Lookup, ApiError> {
        let raw = RawLookup::read_identifier(params)?;
        self.lookup(&raw, ParamLocation::Body, |_| Ok(()), now)
    }

    /// Parses one look-up of a batch: an identifier, with or without a contact type, and no other parameter. Fails where
    /// the caller may not make it.
    pub(super) fn read_one_of_many(
        &self,
        params: Params<'_>,
        caller: &Caller,
        now: Now,
    ) -> Result<Lookup, ApiError> {
        let raw = RawLookup::read_identifier(params)?;
        self.lookup_of(&raw, ParamLocation::Body, caller, now)
    }

    /// Parses what all look-ups of a batch have in common: view, channel and parts, by default none.
    pub(super) fn read_shape_of_many(
        &self,
        params: Params<'_>,
        caller: &Caller,
    ) -> Result<Shape, ApiError> {
        let mut raw = RawLookup::read(params, ParamLocation::Body)?;
        raw.parts.get_or_insert(RequestedParts::EMPTY);
        history::refuse(requested(&raw).history, raw.paging)?;
        self.shape(&raw, caller)
    }

    /// Parses a prefetch: the look-up, the preferred contact type, and the parts. Parameters that only shape a
    /// response, `onUnavailable` and `wait` are refused, and so is `fresh`: a request for fresh data makes its own
    /// call, so a prefetch can't serve it. Fails if the caller may not make it.
    pub(super) fn read_prefetch(
        &self,
        params: Params<'_>,
        caller: &Caller,
        now: Now,
    ) -> Result<(Lookup, Option<ContactType>, PartSet), ApiError> {
        const UNUSED: [&str; 6] = [
            "view",
            "channel",
            "expiringWithin",
            "fresh",
            "onUnavailable",
            "wait",
        ];
        caller.require(Scope::Read)?;
        if let Some((unused, _)) = params.0.iter().find(|(name, _)| UNUSED.contains(&&**name)) {
            return Err(ApiError::parameter(unused, "has no effect on a prefetch"));
        }
        let raw = RawLookup::read(params, ParamLocation::Body)?;
        let lookup = self.lookup_of(&raw, ParamLocation::Body, caller, now)?;
        history::refuse(requested(&raw).history, raw.paging)?;
        let requested = requested(&raw).parts;
        Ok((lookup, raw.prefer, requested))
    }

    /// Parses a report of a change: the customer, and the parts that changed. Fails where the caller may not make it.
    pub(super) fn read_change(
        &self,
        params: Params<'_>,
        caller: &Caller,
        now: Now,
    ) -> Result<(Lookup, PartSet), ApiError> {
        const FORM: &str =
            "an array of points, promotions, vouchers, profile: each once, at least one";
        let is_parts = |name: &str| name == "parts";
        let is_expected = |name: &str| {
            is_parts(name) || name == "contactType" || IdentifierKind::from_param(name).is_some()
        };
        let mut parts = PartSet::INVALIDATABLE;
        let mut identifier = Params::default();
        for (name, value) in params.0 {
            if !is_expected(&name) {
                return Err(ApiError::parameter(&name, "unknown parameter"));
            }
            if !is_parts(&name) || matches!(value, ParamValue::Repeated) {
                identifier.0.push((name, value));
                continue;
            }
            let names = list("parts", value, FORM, ParamLocation::Body)?;
            let reported = part_set(&names, "parts", FORM, |part| part != Part::Audiences)?;
            if reported.parts.is_empty() || !reported.history.is_empty() {
                return Err(ApiError::parameter("parts", FORM));
            }
            parts = reported.parts;
        }
        let raw = RawLookup::read(identifier, ParamLocation::Body)?;
        let lookup = self.lookup_of(&raw, ParamLocation::Body, caller, now)?;
        Ok((lookup, parts))
    }

    /// A look-up that the caller may make.
    fn lookup_of(
        &self,
        raw: &RawLookup<'_>,
        location: ParamLocation,
        caller: &Caller,
        now: Now,
    ) -> Result<Lookup, ApiError> {
        let may_look_up_by = |kind| caller.require_identifier(kind);
        let lookup = self.lookup(raw, location, may_look_up_by, now)?;
        caller.require_lookup(&lookup)?;
        Ok(lookup)
    }

    fn lookup(
        &self,
        raw: &RawLookup<'_>,
        location: ParamLocation,
        may_look_up_by: impl FnOnce(IdentifierKind) -> Result<(), ApiError>,
        now: Now,
    ) -> Result<Lookup, ApiError> {
        let Some((kind, text)) = &raw.identifier else {
            return Err(ApiError::new(Code::MissingIdentifier));
        };
        let kind = *kind;
        let contact_type = self.narrowed_to(kind, raw)?;
        let today = self.today(kind, now);
        if location == ParamLocation::Url && !self.allow_national_id_in_url {
            refuse_national_id(kind, text, today)?;
        }
        may_look_up_by(kind)?;
        let identifier = Identifier::parse(kind, text, &self.identifiers, today)
            .map_err(|error| refused(error, kind, location))?;
        if location == ParamLocation::Url
            && !self.allow_national_id_in_url
            && matches!(identifier, Identifier::Any(AnyIdentifier::NationalId(_)))
        {
            return Err(ApiError::new(Code::NationalIdInUrl).of_parameter(kind.as_str()));
        }
        let lookup = Lookup::new(identifier, contact_type, &self.digester);
        Ok(lookup.with_type_by_default(raw.contact_type.is_none()))
    }

    /// Today's date, where the kind of identifier depends on it; any date otherwise.
    fn today(&self, kind: IdentifierKind, now: Now) -> Date {
        match kind {
            IdentifierKind::SocialSecurityNumber | IdentifierKind::Any => {
                now.wall.to_zoned(self.time_zone.clone()).date()
            }
            _ => Date::ZERO,
        }
    }

    fn parse(
        &self,
        lookup: Lookup,
        raw: &RawLookup<'_>,
        caller: &Caller,
        directives: &Directives,
    ) -> Result<ParsedLookup, ApiError> {
        let shape = self.shape(raw, caller)?;
        let requested = requested(raw);
        history::check(requested.history, raw.paging, shape.view, caller)?;
        let mut fresh = fresh_parts(raw.fresh.as_ref(), requested)?;
        if !fresh.is_empty() {
            caller.require(Scope::Fresh)?;
        }
        if directives.no_cache {
            fresh = requested.all_fresh();
        }
        let history = (!requested.history.is_empty()).then(|| HistoryQuery {
            requested: requested.history,
            fresh: fresh.history,
            limit: raw.paging.limit.unwrap_or(history::DEFAULT_LIMIT),
            before: raw.paging.before,
        });
        Ok(ParsedLookup {
            lookup,
            parameter: raw.identifier.as_ref().map(|(kind, _)| kind.as_str()),
            prefer: raw.prefer.clone(),
            on_unavailable: raw.on_unavailable,
            wait: wait::shorter(raw.wait, self.request_timeout)?,
            fresh: fresh.parts,
            history,
            shape,
        })
    }

    fn shape(&self, raw: &RawLookup<'_>, caller: &Caller) -> Result<Shape, ApiError> {
        let view = raw.view.unwrap_or_else(|| caller.view());
        if view == View::Full {
            caller.require(Scope::ReadFull)?;
        }
        Ok(Shape {
            view,
            channel: raw.channel.or_else(|| caller.channel()),
            requested: requested(raw).parts,
            expiring_within: raw.expiring_within.unwrap_or(self.expiring_within),
        })
    }

    /// The contact type that narrows the look-up. A preferred type chooses among contacts of any type.
    fn narrowed_to(
        &self,
        kind: IdentifierKind,
        raw: &RawLookup<'_>,
    ) -> Result<Option<ContactType>, ApiError> {
        let contact_type = raw.contact_type.as_deref();
        if raw.prefer.is_none() {
            return self.contact_type(kind, contact_type);
        }
        if contact_type.is_some() {
            return Err(ApiError::parameter("prefer", "not with contactType"));
        }
        if kind == IdentifierKind::ContactId {
            return Err(ApiError::parameter("prefer", "not with a contact id"));
        }
        Ok(None)
    }

    fn contact_type(
        &self,
        kind: IdentifierKind,
        raw: Option<&str>,
    ) -> Result<Option<ContactType>, ApiError> {
        match raw {
            Some(text) => ContactType::parse(text)
                .map(Some)
                .ok_or_else(|| ApiError::new(Code::InvalidContactType).of_parameter("contactType")),
            None if kind == IdentifierKind::ContactId => Ok(None),
            None => match &self.default_contact_type {
                Some(contact_type) => Ok(Some(contact_type.clone())),
                None => Err(ApiError::new(Code::MissingContactType).of_parameter("contactType")),
            },
        }
    }
}

/// The problem of an identifier. In a URL the plus sign of a phone number must be escaped.
fn refused(error: IdentifierError, kind: IdentifierKind, location: ParamLocation) -> ApiError {
    let problem = ApiError::identifier(error, kind.as_str());
    if error == IdentifierError::InvalidPhoneNumber && location == ParamLocation::Url {
        problem.detailed(PHONE_NUMBER_IN_URL)
    } else {
        problem
    }
}

/// The requested parts.
fn requested(raw: &RawLookup<'_>) -> RequestedParts {
    let named = raw.parts.unwrap_or(RequestedParts {
        parts: PartSet::ALL,
        history: HistorySet::EMPTY,
    });
    RequestedParts {
        parts: named.parts.union(PartSet::ALWAYS),
        ..named
    }
}

/// Refuses a national id in a URL, which proxies log.
fn refuse_national_id(kind: IdentifierKind, text: &str, today: Date) -> Result<(), ApiError> {
    let is_national_id = match kind {
        IdentifierKind::SocialSecurityNumber => true,
        IdentifierKind::Any => NationalId::looks_like(text, today),
        _ => false,
    };
    if is_national_id {
        return Err(ApiError::new(Code::NationalIdInUrl).of_parameter(kind.as_str()));
    }
    Ok(())
}

fn fresh_parts(
    fresh: Option<&FreshParam>,
    requested: RequestedParts,
) -> Result<RequestedParts, ApiError> {
    match fresh {
        None => Ok(RequestedParts::EMPTY),
        Some(FreshParam::All) => Ok(requested.all_fresh()),
        Some(FreshParam::These(these)) if these.is_subset(requested) => Ok(*these),
        Some(FreshParam::These(_)) => Err(ApiError::parameter(
            "fresh",
            "contains a part that is not in parts",
        )),
    }
}
