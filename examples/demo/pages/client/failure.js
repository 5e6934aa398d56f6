/** Every known code; the compiler compares the list with the service's document. */
const KNOWN = {
    AmbiguousIdentifier: true,
    ContactNotFound: true,
    Forbidden: true,
    HeadTooLarge: true,
    IdentityMismatch: true,
    Internal: true,
    InvalidConfiguration: true,
    InvalidContactId: true,
    InvalidContactType: true,
    InvalidEmailAddress: true,
    InvalidParameter: true,
    InvalidPhoneNumber: true,
    InvalidSearchQuery: true,
    InvalidSocialSecurityNumber: true,
    InvalidSystemConfiguration: true,
    MethodNotAllowed: true,
    MissingContactType: true,
    MissingIdentifier: true,
    MultipleMatches: true,
    NationalIdInUrl: true,
    NotCached: true,
    NotFound: true,
    NotShared: true,
    Overloaded: true,
    PayloadTooLarge: true,
    PreconditionFailed: true,
    RateLimited: true,
    Unauthorized: true,
    UnsupportedMediaType: true,
    UpstreamFailed: true,
    UpstreamForbidden: true,
    UpstreamInvalid: true,
    UpstreamTimeout: true,
    UpstreamUnauthorized: true,
    UpstreamUnavailable: true,
    WebhookUnreadable: true,
};
/** The failure that this body of an error describes. `retryAfter`: the header field, in seconds. */
export function failure(problem, retryAfter) {
    const details = {
        status: problem.status,
        detail: problem.detail,
        requestId: problem.requestId,
        retryable: problem.retryable,
        retryAfter,
        problem,
    };
    return Object.hasOwn(KNOWN, problem.code)
        ? { code: problem.code, ...details }
        : { code: "Other", originalCode: problem.code, ...details };
}
