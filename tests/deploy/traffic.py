"""Requests of every kind, so that every panel of the dashboard has something to show."""

from cluster import Failure, send, until

KNOWN = "alva.testsson@example.com"
ALVA = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"


def expect(what, answer, *statuses):
    """Returns the body of a response with one of these statuses."""
    if answer[0] not in statuses:
        raise Failure(f"{what}: {answer[0]}, not {statuses}: {answer[1][:300]}")
    return answer[1]


def post(cluster, path, body, key="cluster-shop-key"):
    return send("POST", f"{cluster.service}{path}", {"X-Api-Key": key}, body)


def every_kind(cluster):
    """Sends a few requests of every kind through nginx, refused ones too, and has Engage send webhooks and fail once."""
    for _ in range(4 * len(cluster.replicas)):
        expect("a hit", cluster.ask(f"email={KNOWN}"), 200)
    expect("a look-up in a body", post(cluster, "/customer/lookup", {"contactId": ALVA}), 200)
    expect("the till", cluster.ask(f"email={KNOWN}&parts=pointTransactions", "cluster-till-key"), 200)
    expect("fresh points", cluster.ask(f"email={KNOWN}&fresh=points"), 200)
    expect("an unknown customer", cluster.ask("email=unknown@example.com"), 404)
    expect("no e-mail address", cluster.ask("email=unknown"), 400)
    expect("an unknown key", cluster.ask(f"email={KNOWN}", "not-a-key"), 401)
    expect("a right that the screen lacks", cluster.ask(f"email={KNOWN}&fresh=points", "cluster-kiosk-key"), 403)
    me = f"{cluster.service}/customer/me"
    expect("a malformed token", send("GET", me, {"Authorization": "Bearer not-a-token"}), 401)
    lookups = {"lookups": [{"email": KNOWN}, {"email": "unknown@example.com"}]}
    expect("a batch", post(cluster, "/customer/batch", lookups), 200)
    for _, address in cluster.members(3, offset=400):
        expect("a prefetch", post(cluster, "/customer/prefetch", {"email": address}), 202)
    expect("a report", post(cluster, "/customer/changed", {"contactId": ALVA, "parts": ["vouchers"]}), 204)
    for event in ("contact.updated", "point.balance.updated"):
        cluster.control("POST", "webhooks/send", {"event": event, "contactId": ALVA})
    one_failure(cluster)


def one_failure(cluster):
    """Engage fails for one customer that is not cached."""
    [(contact, _)] = cluster.members(1, offset=500)
    cluster.control("POST", "faults", {"endpoint": "overview", "fault": {"status": [503, "busy"]}, "times": 3})

    def is_failed():
        return cluster.ask(f"contactId={contact}")[0] in (502, 503)

    until("a failed request", is_failed)
    cluster.control("DELETE", "faults")
