import type { components } from "./generated.js";

/** The body of an error (RFC 9457). */
export type Problem = components["schemas"]["Problem"];

/** The codes of this service's errors. */
export type ProblemCode = components["schemas"]["ProblemCode"];

interface Details {
  /** The HTTP status. */
  status: number;
  /** A text for people; it may change. */
  detail: string;
  /** Names the request in the service's log. */
  requestId: string | undefined;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** After how many seconds, if the service says so. */
  retryAfter: number | undefined;
  /** The body. */
  problem: Problem;
}

type ByCode = { [Code in ProblemCode]: { code: Code } & Details }[ProblemCode];

/** Why there is no result: the code of a problem, or the client's own reason. */
export type Failure =
  | ByCode
  /** An error whose code this version of the client does not know, such as Engage's own of a 400. */
  | ({ code: "Other"; originalCode: string } & Details)
  /** The deadline passed; the service may still be working on it. */
  | { code: "DeadlineExceeded" }
  /** The caller's signal was aborted. */
  | { code: "Aborted" }
  /** The `token` function threw or rejected: show the log-in. */
  | { code: "TokenFailed"; cause: unknown }
  /** There was no connection, or it broke; in a browser also if `server.cors_origins` lacks the page's origin. */
  | { code: "NetworkFailed"; cause: unknown }
  /** Not a response of the service: a proxy's page, for instance. */
  | { code: "Unreadable"; status: number };

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
} as const satisfies Record<ProblemCode, true>;

/** The failure that this body of an error describes. `retryAfter`: the header field, in seconds. */
export function failure(problem: Problem, retryAfter: number | undefined): Failure {
  const details: Details = {
    status: problem.status,
    detail: problem.detail,
    requestId: problem.requestId,
    retryable: problem.retryable,
    retryAfter,
    problem,
  };
  return Object.hasOwn(KNOWN, problem.code)
    ? ({ code: problem.code, ...details } as ByCode)
    : { code: "Other", originalCode: problem.code, ...details };
}
