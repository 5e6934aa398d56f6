//! The stable error codes, each with its status and its detail.

use http::StatusCode;

macro_rules! codes {
    ($($code:ident $status:ident $detail:literal)+) => {
        /// The stable code of a failure.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $detail] $code,)+
            /// The code in a 400 of Engage's, if it is not one of ours.
            Rejected(Box<str>),
        }

        impl Code {
            /// Every code that this service defines.
            #[cfg(test)]
            pub(in crate::http) const OWN: &[Self] = &[$(Code::$code),+];

            /// The code in responses and logs.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Code::$code => stringify!($code),)+
                    Code::Rejected(code) => code,
                }
            }

            /// The code in metrics; all of Engage's codes share one label.
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

            pub(in crate::http) fn detail(&self) -> &'static str {
                match self {
                    $(Code::$code => $detail,)+
                    Code::Rejected(_) => "Engage refused the request.",
                }
            }
        }
    };
}

impl Code {
    /// Whether the same request may succeed later, without a change at its sender or in the configuration. Where the
    /// response has no `Retry-After`, the sender chooses the delay.
    pub(in crate::http) fn is_retryable(&self) -> bool {
        match self {
            Self::RateLimited
            | Self::Internal
            | Self::UpstreamFailed
            | Self::UpstreamInvalid
            | Self::UpstreamUnavailable
            | Self::Overloaded
            | Self::NotShared
            | Self::UpstreamTimeout
            | Self::NotCached => true,
            Self::MissingIdentifier
            | Self::AmbiguousIdentifier
            | Self::MissingContactType
            | Self::InvalidParameter
            | Self::NationalIdInUrl
            | Self::InvalidEmailAddress
            | Self::InvalidPhoneNumber
            | Self::InvalidSocialSecurityNumber
            | Self::InvalidContactType
            | Self::InvalidContactId
            | Self::InvalidSearchQuery
            | Self::Unauthorized
            | Self::Forbidden
            | Self::ContactNotFound
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::MultipleMatches
            | Self::PreconditionFailed
            | Self::PayloadTooLarge
            | Self::UnsupportedMediaType
            | Self::InvalidConfiguration
            | Self::HeadTooLarge
            | Self::InvalidSystemConfiguration
            | Self::UpstreamUnauthorized
            | Self::UpstreamForbidden
            | Self::IdentityMismatch
            | Self::WebhookUnreadable
            | Self::Rejected(_) => false,
        }
    }
}

codes! {
    MissingIdentifier BAD_REQUEST
        "Send one of contactId, email, mobilePhone, socialSecurityNumber, customKey, any."
    AmbiguousIdentifier BAD_REQUEST
        "Send one identifier only."
    MissingContactType BAD_REQUEST
        "Send contactType with every identifier but contactId."
    InvalidParameter BAD_REQUEST
        "A parameter can't be read."
    NationalIdInUrl BAD_REQUEST
        "URLs are logged by proxies: send a national id in the body of POST /customer/lookup."
    InvalidEmailAddress BAD_REQUEST
        "email: not an e-mail address."
    InvalidPhoneNumber BAD_REQUEST
        "mobilePhone: not a phone number; write it with its country code, such as +46701740699."
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
        "The path does not have this method."
    MultipleMatches CONFLICT
        "Several customers share the identifier."
    PreconditionFailed PRECONDITION_FAILED
        "If-Match does not match, or If-None-Match does."
    PayloadTooLarge PAYLOAD_TOO_LARGE
        "The body is too large."
    UnsupportedMediaType UNSUPPORTED_MEDIA_TYPE
        "Send application/json in UTF-8, without a content coding."
    HeadTooLarge REQUEST_HEADER_FIELDS_TOO_LARGE
        "The request's head is larger than 16 KiB, or has more than 100 fields."
    InvalidConfiguration UNPROCESSABLE_ENTITY
        "The configuration has mistakes. Nothing has changed."
    RateLimited TOO_MANY_REQUESTS
        "Too many requests from this client or shopper."
    Internal INTERNAL_SERVER_ERROR
        "An internal error of this service."
    InvalidSystemConfiguration BAD_GATEWAY
        "Engage is not configured for the request."
    UpstreamUnauthorized BAD_GATEWAY
        "Engage does not accept this service's key."
    UpstreamForbidden BAD_GATEWAY
        "Engage forbids the request to this service."
    UpstreamFailed BAD_GATEWAY
        "Engage failed."
    UpstreamInvalid BAD_GATEWAY
        "Engage's response can't be read."
    IdentityMismatch BAD_GATEWAY
        "Engage's response is about another contact."
    UpstreamUnavailable SERVICE_UNAVAILABLE
        "Engage is unavailable now."
    Overloaded SERVICE_UNAVAILABLE
        "The service is overloaded."
    WebhookUnreadable SERVICE_UNAVAILABLE
        "The payload is encrypted, and no configured key decrypts it."
    NotShared SERVICE_UNAVAILABLE
        "Other replicas could not be reached; it took effect at this one alone. Send it again."
    UpstreamTimeout GATEWAY_TIMEOUT
        "Engage did not respond in time."
    NotCached GATEWAY_TIMEOUT
        "The customer is not cached, and the request has only-if-cached."
}
