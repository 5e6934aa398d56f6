//! What a document says of itself: the contract in prose, the tags, and the credentials.

use serde_json::{Value, json};

use crate::http::routes::ListenerKind;

/// What the document of a listener says of itself.
pub(super) struct About {
    pub(super) title: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    pub(super) server: &'static str,
    pub(super) tags: Value,
    pub(super) security_schemes: Value,
}

pub(super) fn about(listener: ListenerKind) -> About {
    match listener {
        ListenerKind::Data => About {
            title: "engage-bff",
            summary: "Customers of Voyado Engage, from a cache in front of it",
            description: OF_DATA,
            server: "The data listener (`server.listen`)",
            tags: data_tags(),
            security_schemes: data_security_schemes(),
        },
        ListenerKind::Operations => About {
            title: "engage-bff, operations",
            summary: "One replica of engage-bff, for operators and their tools",
            description: OF_OPERATIONS,
            server: "The operations listener (`operations.listen`)",
            tags: operations_tags(),
            security_schemes: operations_security_schemes(),
        },
    }
}

const OF_OPERATIONS: &str = "\
What operators and their scripts ask one replica, and have it do. Never behind the public load balancer. How to work with \
it is in docs/OPERATIONS.md; this document describes every parameter, code and body.

## Access

Without `operations.token` no credential is needed. `Host` must name the listener: a loopback address, `localhost`, the \
listen address, or one of `operations.hosts`. A request of another origin's page is a 403 `Forbidden`.

## What may change

Additions are not breaking, and come with minor versions: members, codes, routes, values of enumerations, all of which are \
open. Ignore what you do not know. Removals and new meanings are breaking, and come with a new major version.

## Answers

Every member that is not marked as optional is always present. No answer contains personal data, nor a contact's id: \
`contact` is the digest of the audit. Seconds and milliseconds may have fractions.

## Problems

Every other answer is a problem (RFC 9457). `code` says what is wrong, `retryable` whether the same request may succeed \
later.

## Not in this document

The console, a page at `/` with its files. A path that is not listed is a 401 without the token, and a 404 `NotFound` with \
it; another method of a path is a 405 `MethodNotAllowed`, where `Allow` names the methods. `HEAD` has the header fields of \
`GET`. A request whose head cannot be read is a 400 `InvalidParameter` or a 431 `HeadTooLarge`.";

const OF_DATA: &str = "\
Customers of Voyado Engage, answered from a cache in front of it. What each route does, with examples, is in \
docs/API.md; this document describes every parameter, header, code and body.

## What may change

Additions are not breaking, and come with minor versions: members of an answer or a problem, parameters, headers, codes, \
routes, values of open enumerations. Ignore members that you do not know. Removals and new meanings are breaking, and \
come with a new major version. Enumerations are closed unless their description says that they are open.

## Answers

Every member of an answer is always present. What is not known is `null` or an empty list; `null` of a part means that \
it was not requested or is not available, in which case `degraded` names it. Members that may be `null` are marked. An \
answer has no `contactId` where it is about no customer (`Guest`): only with `onUnavailable=guest`.

Money and points (`format: decimal`) are JSON numbers with exactly Engage's digits. Read them with a decimal type. A \
double holds 15 significant digits without loss; sums of doubles are not exact. Times are RFC 3339 in UTC, with \
milliseconds.

## Problems

Every other answer is a problem (RFC 9457). `code` says what is wrong: an enumeration that is open, to which Engage's own \
codes of a 400 belong too. `retryable` says whether the same request may succeed later: after `Retry-After`, where there is \
one.

## Not in this document

A path that is not listed is a 401 without a valid credential, and a 404 `NotFound` with one; another method of a path is \
a 405 `MethodNotAllowed`, where `Allow` names the methods. `HEAD` has the header fields of `GET`. A request whose head \
cannot be read is a 400 `InvalidParameter` or a 431 `HeadTooLarge`. The operations listener has a document of its own.";

fn data_tags() -> Value {
    json!([
        {"name": "customers", "description": "Looking customers up"},
        {"name": "changes", "description": "Telling the cache what has changed at Engage"},
        {"name": "probes", "description": "For load balancers and orchestrators"},
    ])
}

fn data_security_schemes() -> Value {
    json!({
        "clientKey": {
            "type": "apiKey", "in": "header", "name": "X-Api-Key",
            "description": "The key of a server or a till (`auth.clients`). The names of an operation are the scopes \
                that it needs; `customer:read:full` is needed for the view `full`, the history and the candidates of a \
                409, and `customer:fresh` for `fresh` and for `Cache-Control`.",
        },
        "shopperToken": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "A shopper's own token (`auth.jwt`). It may stand next to a client's key: then both must \
                allow the request.",
        },
        "webhookSignature": {
            "type": "apiKey", "in": "header", "name": "svix-signature",
            "description": "Svix's signature of the body by one of `webhooks.secrets`.",
        },
    })
}

fn operations_tags() -> Value {
    json!([
        {"name": "probes", "description": "For load balancers and orchestrators"},
        {"name": "observation", "description": "How this replica is doing"},
        {"name": "cache", "description": "What is cached, and why; purging it"},
        {"name": "configuration", "description": "The configuration in force"},
        {"name": "descriptions", "description": "This document and that of the data listener"},
    ])
}

fn operations_security_schemes() -> Value {
    json!({
        "operatorToken": {
            "type": "http", "scheme": "bearer",
            "description": "`operations.token`. Without one no credential is needed. Probes and metrics never need it.",
        },
    })
}
