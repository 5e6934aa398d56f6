//! The stable codes: each with its status and what it means.

use http::StatusCode;

macro_rules! codes {
    ($($code:ident $status:ident $detail:literal)+) => {
        /// What went wrong, as callers may rely on it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $detail] $code,)+
            /// Engage's own code of a 400 that is not listed here.
            Rejected(Box<str>),
        }

        impl Code {
            /// The code in answers and logs.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Code::$code => stringify!($code),)+
                    Code::Rejected(code) => code,
                }
            }

            /// The code in metrics, where Engage's own have one name together.
            pub(in super::super) fn label(&self) -> &'static str {
                match self {
                    $(Code::$code => stringify!($code),)+
                    Code::Rejected(_) => "(engage's)",
                }
            }

            pub(in crate::http) fn status(&self) -> StatusCode {
                match self {
                    $(Code::$code => StatusCode::$status,)+
                    Code::Rejected(_) => StatusCode::BAD_REQUEST,
                }
            }

            pub(super) fn detail(&self) -> &'static str {
                match self {
                    $(Code::$code => $detail,)+
                    Code::Rejected(_) => "Engage refused the request.",
                }
            }
        }
    };
}

codes! {
    MissingIdentifier BAD_REQUEST
        "Give one of contactId, email, mobilePhone, socialSecurityNumber, customKey, any."
    AmbiguousIdentifier BAD_REQUEST
        "Give one identifier only."
    MissingContactType BAD_REQUEST
        "Give contactType with every identifier but contactId."
    InvalidParameter BAD_REQUEST
        "A parameter can't be read."
    NationalIdInUrl BAD_REQUEST
        "URLs end up in logs: send a national id in the body of POST /customer/lookup."
    InvalidEmailAddress BAD_REQUEST
        "email: not an e-mail address."
    InvalidPhoneNumber BAD_REQUEST
        "mobilePhone: not a phone number; write it with its country code, such as %2B46701740605."
    InvalidSocialSecurityNumber BAD_REQUEST
        "socialSecurityNumber: not a personnummer, samordningsnummer or Finnish personal identity code."
    InvalidContactType BAD_REQUEST
        "contactType: not a contact type."
    InvalidContactId BAD_REQUEST
        "contactId: not a GUID."
    InvalidSearchQuery BAD_REQUEST
        "The value can't be searched for."
    Unauthorized UNAUTHORIZED
        "Send a valid credential."
    Forbidden FORBIDDEN
        "The credential does not allow this."
    ContactNotFound NOT_FOUND
        "There is no such customer."
    NotFound NOT_FOUND
        "There is no such path."
    MethodNotAllowed METHOD_NOT_ALLOWED
        "The path has other methods."
    MultipleMatches CONFLICT
        "Several customers share the identifier."
    PreconditionFailed PRECONDITION_FAILED
        "If-Match names another answer, or If-None-Match this one."
    PayloadTooLarge PAYLOAD_TOO_LARGE
        "The body is too large."
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE
        "Send application/json in UTF-8, without a content coding."
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE
        "The request's head is larger than 16 KiB, or has more than 100 fields."
    RateLimited TOO_MANY_REQUESTS
        "Too many requests from this client."
    Internal INTERNAL_SERVER_ERROR
        "A defect of this service."
    InvalidSystemConfiguration BAD_GATEWAY
        "Engage is not configured for the request."
    UpstreamUnauthorized BAD_GATEWAY
        "Engage does not accept this service's key."
    UpstreamForbidden BAD_GATEWAY
        "Engage forbids the request to this service."
    UpstreamFailed BAD_GATEWAY
        "Engage failed."
    UpstreamInvalid BAD_GATEWAY
        "Engage's answer can't be read."
    IdentityMismatch BAD_GATEWAY
        "Engage answered about somebody else."
    UpstreamUnavailable SERVICE_UNAVAILABLE
        "Engage can't be asked now."
    Overloaded SERVICE_UNAVAILABLE
        "Too much is under way."
    WebhookUnreadable SERVICE_UNAVAILABLE
        "The payload is encrypted, and no key here opens it."
    UpstreamTimeout GATEWAY_TIMEOUT
        "Engage took too long."
    NotCached GATEWAY_TIMEOUT
        "The answer is not held, and only-if-cached was asked."
}
