//! Responses: status, content type and body, and Engage's errors.

use crate::json::Json;

pub(crate) const JSON: &str = "application/json; charset=utf-8";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";
pub(crate) const HTML: &str = "text/html";

/// A complete response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type,
            retry_after: None,
            body: body.into(),
        }
    }

    pub(crate) fn ok(body: &Json) -> Self {
        Self::new(200, JSON, body.to_string())
    }
}

/// Errors of Engage, by its documented codes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApiError {
    InvalidEmailAddress,
    InvalidPhoneNumber,
    InvalidSocialSecurityNumber,
    InvalidContactType,
    InvalidSearchQuery,
    InvalidContactId,
    /// `/contacts/changes` has too many contacts.
    TooManyChanges,
    ContactNotFound,
    /// The contact has no summary of purchases.
    RetailKpiNotCalculated,
    /// With the ids of all matches.
    MultipleMatches(Vec<String>),
    InvalidSystemConfiguration,
    Unauthorized,
    Forbidden,
    /// A call without `Content-Type: application/json`, even a GET.
    MissingContentType,
    /// Not an error of Engage: the simulator does not know the route or the parameter.
    Unknown(String),
}

impl ApiError {
    pub(crate) fn answer(&self, request_id: &str) -> Answer {
        let coded = |status: u16, code: &str, message: &str| {
            let mut body = Json::object([("errorCode", code.into()), ("message", message.into())]);
            if let Self::MultipleMatches(ids) = self {
                let found = Json::object([("multipleMatchesFound", ids.clone().into())]);
                body.set("messageDetails", found);
            }
            body.set("requestId", request_id.into());
            Answer::new(status, JSON, body.to_string())
        };
        let bare = |status: u16, message: &str| {
            let body = Json::object([("message", message.into())]);
            Answer::new(status, JSON, body.to_string())
        };
        match self {
            Self::InvalidEmailAddress => coded(
                400,
                "InvalidEmailAddress",
                "The email address is not valid.",
            ),
            Self::InvalidPhoneNumber => {
                coded(400, "InvalidPhoneNumber", "The phone number is not valid.")
            }
            Self::InvalidSocialSecurityNumber => coded(
                400,
                "InvalidSocialSecurityNumber",
                "The social security number is not valid.",
            ),
            Self::InvalidContactType => coded(
                400,
                "InvalidContactType",
                "The contact type does not exist.",
            ),
            Self::InvalidSearchQuery => {
                coded(400, "InvalidSearchQuery", "The search query is not valid.")
            }
            Self::InvalidContactId => {
                coded(400, "InvalidContactId", "The contact id is not valid.")
            }
            Self::TooManyChanges => bare(400, "Too many contacts."),
            Self::ContactNotFound => coded(404, "ContactNotFound", "Contact not found."),
            Self::RetailKpiNotCalculated => coded(
                404,
                "RetailKpiNotCalculated",
                "Retail KPI not calculated for contact.",
            ),
            Self::MultipleMatches(_) => {
                coded(409, "MultipleMatches", "More than one contact matched.")
            }
            Self::InvalidSystemConfiguration => coded(
                500,
                "InvalidSystemConfiguration",
                "The system is not configured for this request.",
            ),
            Self::Unauthorized => bare(401, "Authorization has been denied for this request."),
            Self::Forbidden => bare(403, "Forbidden"),
            Self::MissingContentType => bare(500, "An error has occurred."),
            Self::Unknown(what) => bare(404, &format!("engage-simulator: {what}")),
        }
    }
}
