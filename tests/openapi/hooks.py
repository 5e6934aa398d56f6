"""Known identifiers and credentials for schemathesis, and what a schema cannot say of several parameters at once."""

import base64
import hashlib
import hmac
import json
import os
import time

import requests
import schemathesis

IDENTIFIERS = {"contactId", "email", "mobilePhone", "socialSecurityNumber", "customKey", "any"}
# Of the demo's Engage simulator: made-up ones would all be refused or unknown, and no answer would be compared. Two
# contacts share the last address.
KNOWN = {
    "contactId": ["6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"],
    "email": ["alva.testsson@example.com", "unknown@example.com", "shared@example.com"],
    "mobilePhone": ["+46701740605"],
    "customKey": ["100001", "unknown"],
}
OPTIONAL = {"points", "promotions", "vouchers"}
HISTORY = {"pointTransactions", "redeemedVouchers", "purchases"}


def of_tenant(parameters):
    """The same parameters with a contact type that Engage has, and one that chooses only where none narrows."""
    for name in ("contactType", "prefer"):
        if name in parameters:
            parameters[name] = "Member"
    if "contactType" in parameters:
        parameters.pop("prefer", None)
    return parameters


def known(generated):
    """A known identifier in place of those that were generated; which one depends on the rest."""
    others = of_tenant({name: value for name, value in generated.items() if name not in IDENTIFIERS})
    number = len(repr(others))
    kind = list(KNOWN)[number % len(KNOWN)]
    # One of several is not chosen by contact id.
    if kind == "contactId":
        others.pop("prefer", None)
    return {**others, kind: KNOWN[kind][number // len(KNOWN) % len(KNOWN[kind])]}


def names(value):
    """The names in a list, which some phases have joined already."""
    return value.split(",") if isinstance(value, str) else value


def consistent(parameters):
    """The same parameters without those that need others."""
    parts = names(parameters.get("parts"))
    if isinstance(parts, list) and "none" in parts:
        parts = parameters["parts"] = ["none"]
    requested = OPTIONAL if parts is None else set(parts)
    if not requested & HISTORY:
        parameters.pop("limit", None)
        parameters.pop("before", None)
    elif parameters.get("view") == "storefront":
        del parameters["view"]
    fresh = names(parameters.get("fresh"))
    if isinstance(fresh, list):
        fresh = ["all"] if "all" in fresh else [part for part in fresh if part in requested | {"profile"}]
        parameters["fresh"] = fresh
        if not fresh:
            del parameters["fresh"]
    # 300.0 is an integer to JSON Schema; the service reads digits.
    for name in ("limit", "wait"):
        if isinstance(parameters.get(name), float):
            parameters[name] = int(parameters[name])
    return parameters


def joined(query):
    """Lists as a query has them."""
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in query.items()}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Changes valid requests; those that are meant to be refused are sent as they are."""
    if case.meta is not None and not case.meta.generation.mode.is_positive:
        return
    # A made-up validator is a 412: three of four requests are without one, and get an answer.
    if case.operation.path in ("/customer", "/customer/me", "/customer/lookup") and len(repr(case.query or case.body)) % 4:
        case.headers.pop("If-Match", None)
    if case.operation.path == "/customer":
        case.query = joined(consistent(known(dict(case.query or {}))))
    if case.operation.path == "/customer/me":
        case.query = joined(consistent(of_tenant(dict(case.query or {}))))
    if isinstance(case.body, dict) and case.operation.path in ("/cache/explain", "/cache/purge") and "all" not in case.body:
        case.body = known(case.body)
    if isinstance(case.body, dict) and case.operation.path.startswith("/customer/"):
        if "lookups" in case.body:
            case.body["lookups"] = [known(lookup) for lookup in case.body["lookups"]]
        else:
            case.body = consistent(known(case.body))


class Field(requests.auth.AuthBase):
    """A credential in a header field."""

    def __init__(self, name, value):
        self.name, self.value = name, value

    def __call__(self, request):
        request.headers[self.name] = self.value
        return request


class Signature(requests.auth.AuthBase):
    """Signs a webhook as Svix does, with the demo's secret, as of now. Without the id or the time it cannot be."""

    def __call__(self, request):
        sent, secret = request.headers, os.environ["WEBHOOK_SECRET"]
        if "svix-id" in sent and "svix-timestamp" in sent:
            # A time that is none stays as it is: it is to be refused.
            if sent["svix-timestamp"].isdecimal():
                sent["svix-timestamp"] = str(int(time.time()))
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            text = f"{sent['svix-id']}.{sent['svix-timestamp']}.".encode() + body
            digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), text, hashlib.sha256).digest()
            sent["svix-signature"] = "v1," + base64.b64encode(digest).decode()
        return request


def credential(auth, path):
    """Has the operations whose path matches sent with it."""
    schemathesis.auth.set_from_requests(auth).apply_to(path_regex=path)


credential(Field("X-Api-Key", "demo-till-key"), "^/customer($|/(?!me$))")
credential(Field("Authorization", f"Bearer {os.environ['SHOPPER']}"), "^/customer/me$")
credential(Signature(), "^/webhooks/engage$")
credential(Field("Authorization", f"Bearer {os.environ['OPERATOR']}"), "^/(cache|docs|events|openapi|reload)")


@schemathesis.check
def known_credential_is_accepted(context, response, case):
    """A token or a signature that was refused would leave everything behind it untested."""
    is_valid = case.meta is None or case.meta.generation.mode.is_positive
    if is_valid and case.operation.path in ("/customer/me", "/webhooks/engage"):
        assert response.status_code != 401, "the credential is refused"


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """The lines of a batch, as the document describes them: the items of a list."""
    return [json.loads(line) for line in response.content.splitlines()]
