"""Known identifiers for schemathesis, and what a schema cannot say of several parameters at once."""

import json

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


def known(generated):
    """A known identifier in place of those that were generated; which one depends on the rest."""
    others = {name: value for name, value in generated.items() if name not in IDENTIFIERS}
    number = len(repr(others))
    kind = list(KNOWN)[number % len(KNOWN)]
    # The tenant's own; Engage refuses others.
    for name in ("contactType", "prefer"):
        if name in others:
            others[name] = "Member"
    # One of several is chosen without a contact type, and not by contact id.
    if kind == "contactId" or "contactType" in others:
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
    if case.operation.path == "/customer":
        case.query = joined(consistent(known(dict(case.query or {}))))
    if isinstance(case.body, dict) and case.operation.path.startswith("/customer/"):
        if "lookups" in case.body:
            case.body["lookups"] = [known(lookup) for lookup in case.body["lookups"]]
        else:
            case.body = consistent(known(case.body))


@schemathesis.deserializer("application/x-ndjson")
def lines(context, response):
    """The lines of a batch, as the document describes them: the items of a list."""
    return [json.loads(line) for line in response.content.splitlines()]
