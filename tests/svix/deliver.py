"""Deliveries signed by Svix's own library, to a service that runs: genuine ones are taken, others are not.

    deliver.py HOST:PORT OPERATIONS_HOST:PORT SECRET OLD_SECRET
"""

import http.client
import json
import sys
import uuid
from datetime import datetime, timedelta, timezone

from svix.webhooks import Webhook

data, operations, secret, old_secret = sys.argv[1:]
CONTACT = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"
EVENTS = [
    ("contact.created", {"contactId": CONTACT}),
    ("contact.updated", {"contactId": CONTACT}),
    ("contact.deleted", {"contactId": CONTACT.upper()}),
    ("contact.consent.changed", {"contactId": CONTACT, "consentId": "memberTerms", "value": False}),
    ("point.balance.updated", {"contactId": CONTACT, "balance": 317.5, "definitionId": "1"}),
    ("loyalty.addPoints", {"contactId": CONTACT, "amount": 25.5, "description": "Födelsedag ✓"}),
    ("reward.voucher.created", {"ContactId": CONTACT, "Amount": 150, "UniqueCode": "2511000000017"}),
    ("promotion.multichannel.assigned", {"contactId": CONTACT}),
    ("something.new.happened", {"contactId": CONTACT}),
]
checked = 0


def body_of(event, payload):
    envelope = {"eventId": str(uuid.uuid4()), "eventType": event, "isEncrypted": False, "payload": payload}
    return json.dumps(envelope | {"tenant": "exampletenant"}, ensure_ascii=False)


def signed(key, body, at=None, message=None):
    at = at or datetime.now(timezone.utc)
    message = message or f"msg_{uuid.uuid4().hex}"
    signature = Webhook(key).sign(message, at, body)
    return {"svix-id": message, "svix-timestamp": str(int(at.timestamp())), "svix-signature": signature}


def expect(what, status, headers, body):
    global checked
    connection = http.client.HTTPConnection(data, timeout=10)
    connection.request("POST", "/webhooks/engage", body.encode(), headers | {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status == status, f"{what}: {answer.status} {text!r}, not {status}"
    checked += 1


def counted(line):
    connection = http.client.HTTPConnection(operations, timeout=10)
    connection.request("GET", "/metrics")
    metrics = connection.getresponse().read().decode()
    found = [other for other in metrics.splitlines() if other.startswith(line + " ")]
    assert found, f"no {line} in {metrics}"
    return int(found[0].rsplit(" ", 1)[1])


for event, payload in EVENTS:
    body = body_of(event, payload)
    expect(event, 204, signed(secret, body), body)
    expect(f"{event}, by the older secret", 204, signed(old_secret, body), body)

body = body_of("contact.updated", {"contactId": CONTACT})
headers = signed(secret, body)
# The library itself takes what it signed: the headers are as it wants them.
Webhook(secret).verify(body, headers)
both = signed(secret, body, message=headers["svix-id"])
both["svix-signature"] = f'{signed(old_secret, body, message=headers["svix-id"])["svix-signature"]} {both["svix-signature"]}'
expect("two signatures", 204, both, body)
expect("the same message again", 204, headers, body)
repeated = 'engage_bff_webhooks_total{event="contact.updated",outcome="repeated"}'
assert counted(repeated) == 1

other_secret = "whsec_" + "QW5vdGhlciBzZWNyZXQgb2YgdGVzdHM="
now = datetime.now(timezone.utc)
expect("signed by another", 401, signed(other_secret, body), body)
expect("altered", 401, signed(secret, body), body.replace("updated", "deleted"))
expect("another message's signature", 401, signed(secret, body) | {"svix-id": "msg_other"}, body)
expect("signed too long ago", 401, signed(secret, body, now - timedelta(minutes=6)), body)
expect("signed in the future", 401, signed(secret, body, now + timedelta(minutes=6)), body)
expect("not signed", 401, {}, body)
expect("signed, but no JSON", 400, signed(secret, "hello"), "hello")
assert counted('engage_bff_webhooks_total{event="(unread)",outcome="forged"}') == 3
assert counted('engage_bff_webhooks_total{event="(unread)",outcome="untimely"}') == 2

print(f"{checked} deliveries signed by Svix's library were answered as they should be")
