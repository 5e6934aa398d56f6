//! The simulated API: computes the response to a path and query from the state of the world. Nothing here waits, records or
//! changes anything.

mod entities;
mod history;
mod lookup;
mod render;

pub(crate) use render::full_data;

use jiff::Timestamp;

use crate::{
    answer::{Answer, ApiError},
    contact::Contact,
    endpoint::Endpoint,
    identifier,
    world::World,
};

/// The API version in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V2,
    V3,
}

/// The requested subset of a contact's vouchers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VoucherScope {
    All,
    Available,
    Redeemed,
}

/// The operation of a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operation {
    Overview,
    ContactIdLookup,
    Contact(String),
    Promotions(String),
    /// The contact id is part of the path in v2 and a parameter in v3.
    Vouchers(VoucherScope, Option<String>),
    PointAccounts,
    PointDefinitions,
    /// The contact id is part of the path in v2 and a parameter in v3.
    PointTransactions(Option<String>),
    Purchases(String),
    Changes,
    TargetAudiences,
}

impl Operation {
    /// Parses a path; `None` if unknown.
    pub(crate) fn parse(path: &str) -> Option<(Version, Self)> {
        let (version, rest) = if let Some(rest) = path.strip_prefix("/api/v3/") {
            (Version::V3, rest)
        } else {
            (Version::V2, path.strip_prefix("/api/v2/")?)
        };
        let segments: Vec<&str> = rest.split('/').collect();
        let operation = match (version, segments.as_slice()) {
            // Engage accepts the trailing slash, and a known client sends it.
            (_, ["contactoverview"] | ["contactoverview", ""]) => Self::Overview,
            (_, ["contacts", "id"]) => Self::ContactIdLookup,
            (_, ["contacts", "changes"]) => Self::Changes,
            (_, ["contacts", id]) if !id.is_empty() => Self::Contact((*id).to_owned()),
            (_, ["contacts", id, "promotions"]) => Self::Promotions((*id).to_owned()),
            (_, ["contacts", id, "purchasehistorysummary"]) => Self::Purchases((*id).to_owned()),
            (_, ["point-accounts"]) => Self::PointAccounts,
            // The path in v3 is inferred from v2's.
            (_, ["point-accounts", "definitions"]) => Self::PointDefinitions,
            (Version::V3, ["point-transactions"]) => Self::PointTransactions(None),
            (Version::V2, ["contacts", id, "bonuspointtransactions"]) => {
                Self::PointTransactions(Some((*id).to_owned()))
            }
            (_, ["target-audiences"]) => Self::TargetAudiences,
            (Version::V3, ["reward-vouchers", scope @ ..]) => {
                Self::Vouchers(VoucherScope::parse(scope)?, None)
            }
            (Version::V2, ["contacts", id, "bonuschecks", scope @ ..]) => {
                Self::Vouchers(VoucherScope::parse(scope)?, Some((*id).to_owned()))
            }
            _ => return None,
        };
        Some((version, operation))
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Overview => Endpoint::Overview,
            Self::ContactIdLookup => Endpoint::ContactIdLookup,
            Self::Contact(_) => Endpoint::Contact,
            Self::Promotions(_) => Endpoint::Promotions,
            Self::Vouchers(VoucherScope::Redeemed, _) => Endpoint::RedeemedVouchers,
            Self::Vouchers(..) => Endpoint::Vouchers,
            Self::PointAccounts => Endpoint::PointAccounts,
            Self::PointDefinitions => Endpoint::PointDefinitions,
            Self::PointTransactions(_) => Endpoint::PointTransactions,
            Self::Purchases(_) => Endpoint::Purchases,
            Self::Changes => Endpoint::Changes,
            Self::TargetAudiences => Endpoint::TargetAudiences,
        }
    }

    /// The query parameters that Engage accepts.
    pub(crate) fn parameters(&self) -> &'static [&'static str] {
        match self {
            Self::Overview => &[
                "contactId",
                "email",
                "socialSecurityNumber",
                "mobilePhone",
                "customKey",
                "any",
                "contactType",
            ],
            Self::ContactIdLookup => &[
                "email",
                "socialSecurityNumber",
                "mobilePhone",
                "customKey",
                "any",
                "contactType",
            ],
            Self::Promotions(_) => &["redemptionChannelType"],
            Self::Vouchers(_, Some(_))
            | Self::PointDefinitions
            | Self::PointTransactions(Some(_)) => &["offset", "count"],
            Self::PointTransactions(None) => &[
                "accountId",
                "contactId",
                "definitionId",
                "offset",
                "count",
                "filter",
            ],
            Self::Vouchers(_, None) | Self::PointAccounts => &["contactId", "offset", "count"],
            Self::Changes => &["changeType", "fromDate", "toDate"],
            Self::Contact(_) | Self::Purchases(_) | Self::TargetAudiences => &[],
        }
    }
}

impl VoucherScope {
    fn parse(segments: &[&str]) -> Option<Self> {
        match segments {
            [] => Some(Self::All),
            ["available"] => Some(Self::Available),
            ["redeemed"] => Some(Self::Redeemed),
            _ => None,
        }
    }
}

/// A request with the state that it is answered from.
pub(crate) struct ApiRequest<'a> {
    pub(crate) world: &'a World,
    pub(crate) now: Timestamp,
    pub(crate) version: Version,
    pub(crate) query: &'a [(String, String)],
    /// Id of a contact to respond about instead of the requested one.
    pub(crate) substitute: Option<&'a str>,
}

impl ApiRequest<'_> {
    /// Computes Engage's response.
    pub(crate) fn answer(&self, operation: &Operation) -> Result<Answer, ApiError> {
        match operation {
            Operation::Overview => self.overview(),
            Operation::ContactIdLookup => self.contact_id(),
            Operation::Contact(id) => self.contact(id),
            Operation::Promotions(id) => self.promotions(id),
            Operation::Vouchers(scope, id) => self.vouchers(*scope, id.as_deref()),
            Operation::PointAccounts => self.point_accounts(),
            Operation::PointDefinitions => self.point_definitions(),
            Operation::PointTransactions(id) => self.point_transactions(id.as_deref()),
            Operation::Purchases(id) => self.purchases(id),
            Operation::Changes => self.changes(),
            Operation::TargetAudiences => Ok(render::target_audiences()),
        }
    }

    /// The value of a query parameter.
    fn parameter(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The current contact with this id, or its substitute.
    fn current(&self, id: Option<&str>) -> Result<&Contact, ApiError> {
        let id = id
            .and_then(identifier::guid)
            .ok_or(ApiError::InvalidContactId)?;
        let found = self.world.current(&id).ok_or(ApiError::ContactNotFound)?;
        Ok(self.or_substitute(found))
    }

    fn or_substitute<'b>(&'b self, requested: &'b Contact) -> &'b Contact {
        let substitute = self.substitute.and_then(|id| self.world.current(id));
        substitute.map_or(requested, |substitute| substitute)
    }
}
