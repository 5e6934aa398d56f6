"""The fault behind each alert. Each is a context: what is done to the cluster, and its end. While it lasts, what it yields is
called again and again: the requests that meet the fault."""

import asyncio
import base64
import concurrent.futures
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import pathlib
import re
import socket
import time
import urllib.parse

from cluster import Failure, send
from load import Load

# The cause of each alert.
OF = {}
ALVA = "6f1d2c3a-4b5e-4f60-8a71-b2c300d41e01"
SECRET = "oYn8D9SpnpQQHZtlAPhb518LJCuSK89X"


def causes(*alerts):
    def register(function):
        context = contextlib.contextmanager(function)
        OF.update(dict.fromkeys(alerts, context))
        return context

    return register


def grouped(alerts):
    """Each cause with those of these alerts that it has."""
    found = {}
    for alert in sorted(alerts):
        found.setdefault(OF[alert], []).append(alert)
    return list(found.items())


_offsets = itertools.count(600, 40)


def unread(cluster):
    """Ids of contacts that nothing has requested before."""
    for offset in _offsets:
        ids = cluster.control("GET", f"contacts?offset={offset}&count=40")["ids"]
        if not ids:
            raise Failure("the simulator has no more contacts")
        yield from ids


def at_once(calls):
    with concurrent.futures.ThreadPoolExecutor(max_workers=32) as pool:
        return list(pool.map(lambda call: call(), calls))


def misses(cluster, count, query=""):
    """Requests that many contacts at once that are not cached."""
    contacts = unread(cluster)

    def tick():
        chosen = list(itertools.islice(contacts, count))
        at_once([lambda one=one: cluster.ask(f"contactId={one}{query}") for one in chosen])

    return tick


@contextlib.contextmanager
def engage(cluster, fault, endpoint="all", times=None):
    """A fault of the simulator's."""
    body = {"endpoint": endpoint, "fault": fault}
    cluster.control("POST", "faults", body | ({"times": times} if times else {}))
    try:
        yield
    finally:
        cluster.control("DELETE", "faults")


# --- replicas ----------------------------------------------------------------------------------------------------------


@causes("EngageBffDown")
def a_replica_ends(cluster):
    cluster.run("stop", "replica-3")
    try:
        yield
    finally:
        cluster.run("start", "replica-3")


@causes("EngageBffAbsent")
def every_replica_ends(cluster):
    names = [f"replica-{number}" for number in range(1, len(cluster.replicas) + 1)]
    at_once([lambda name=name: cluster.run("stop", name) for name in names])
    try:
        yield
    finally:
        for name in names:
            cluster.run("start", name)


@causes("EngageBffRestarting")
def a_replica_is_killed_again_and_again(cluster):
    def tick():
        cluster.run("signal", "replica-3", "KILL")
        time.sleep(0.5)
        cluster.run("start", "replica-3")
        time.sleep(1.5)

    yield tick


@causes("EngageBffReloadFailed")
def a_wrong_configuration_is_reloaded(cluster):
    path = cluster.directory / "engage-bff.toml"
    right = path.read_text()
    path.write_text(f"{right}\nno_such_key = true\n")
    cluster.run("signal", "replica-1", "HUP")
    try:
        yield
    finally:
        path.write_text(right)
        cluster.run("signal", "replica-1", "HUP")


@causes("EngageBffTracesDropped")
def the_collector_of_traces_ends(cluster):
    cluster.run("stop", "collector")
    # The flag of a client with a key decides that the request is traced.
    fields = {
        "X-Api-Key": "cluster-shop-key",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
    try:
        yield lambda: send("GET", f"{cluster.service}/customer?contactId={ALVA}", fields)
    finally:
        cluster.run("start", "collector")


@causes("EngageBffLogEventsDropped")
def standard_output_is_not_read(cluster):
    log = cluster.directory / "replica-3.log"
    cluster.run("stop", "replica-3")
    kept = log.rename(cluster.directory / "replica-3.log.kept")
    os.mkfifo(log)
    # Opened and never read.
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    cluster.run("start", "replica-3")
    load = Load(cluster.replicas[2], ["email=unreadable"], cluster.variables["KEY"], rate=5000)

    def tick():
        async def run():
            running = asyncio.create_task(load.run())
            await asyncio.sleep(3)
            load.stop()
            await running

        asyncio.run(run())

    try:
        yield tick
    finally:
        os.close(reader)
        cluster.run("stop", "replica-3")
        log.unlink()
        kept.rename(log)
        cluster.run("start", "replica-3")


@causes("EngageBffConnectionsFull")
def more_connections_than_allowed(cluster):
    cluster.restart("replica-3", "BFF_SERVER__MAX_CONNECTIONS=20")
    address = urllib.parse.urlsplit(cluster.replicas[2])
    with contextlib.ExitStack() as stack:

        def tick():
            for _ in range(10):
                connection = socket.create_connection((address.hostname, address.port), timeout=5)
                stack.enter_context(contextlib.closing(connection))

        yield tick
    cluster.restart("replica-3")


# --- Engage ------------------------------------------------------------------------------------------------------------


@causes("EngageBffEngageFailing", "EngageBffBreakerOpen", "EngageBffServerErrors")
def engage_fails(cluster):
    with engage(cluster, {"status": [503, "busy"]}, "overview"):
        yield misses(cluster, 8)


@causes("EngageBffSlow")
def engage_is_slow(cluster):
    # A busy machine adds to it, and after 2.5 s the request is a 504.
    cluster.control("POST", "latency", {"endpoint": "all", "fixedMs": 1200})
    try:
        yield misses(cluster, 2, "&parts=none")
    finally:
        cluster.control("POST", "latency", {"endpoint": "all"})


@causes("EngageBffDegraded")
def one_endpoint_fails(cluster):
    with engage(cluster, {"status": [503, "busy"]}, "pointAccounts"):
        yield misses(cluster, 10)


@causes("EngageBffKeyRefused", "EngageBffAlarm")
def the_key_is_forbidden(cluster):
    cluster.control("POST", "settings", {"forbid": True})
    try:
        yield misses(cluster, 2)
    finally:
        cluster.control("POST", "settings", {"forbid": False})


@causes("EngageBffRateLimited")
def engage_limits_the_rate(cluster):
    with engage(cluster, {"tooMany": {"retryAfter": "1"}}):
        yield misses(cluster, 2)


@causes("EngageBffBudgetSpent")
def many_unknown_customers(cluster):
    yield misses(cluster, 60)


@causes("EngageBffIdentityMismatch")
def engage_answers_about_another_contact(cluster):
    with engage(cluster, {"wrongContact": ALVA}, "overview"):
        yield misses(cluster, 2, "&parts=none")


@causes("EngageBffItemsUnreadable")
def a_voucher_without_a_readable_date(cluster):
    voucher = {"id": "8d31c000-2009-4c22-b002-b2d200c0000a", "name": "Unreadable", "expiresOn": "31/12/2026"}
    for contact in itertools.islice(unread(cluster), 1):
        with engage(cluster, {"body": json.dumps({"items": [voucher], "totalCount": 1})}, "vouchers"):
            yield lambda: cluster.ask(f"contactId={contact}&fresh=vouchers")


# --- cache and shared tier ---------------------------------------------------------------------------------------------


@causes("EngageBffCacheOff")
def the_cache_is_switched_off(cluster):
    cluster.operator(2, "PUT", "/cache/enabled", False)
    try:
        yield
    finally:
        cluster.operator(2, "PUT", "/cache/enabled", True)


@causes("EngageBffCacheFull")
def a_small_cache(cluster):
    cluster.restart("replica-3", "BFF_CACHE__MAX_SIZE=1MiB")
    contacts = unread(cluster)

    def tick():
        chosen = list(itertools.islice(contacts, 40))
        at_once([lambda one=one: cluster.ask(f"contactId={one}&parts=none", replica=3) for one in chosen])

    yield tick
    cluster.restart("replica-3")


# The first bytes of what zstd compressed: each cached record is such a frame, with a digest behind it.
FRAME = re.compile(rb"\x28\xb5\x2f\xfd")


def flip_a_bit_of_each_record(process):
    """Changes the memory of a process, as faulty memory does. Takes root."""
    flipped = 0
    with open(f"/proc/{process}/mem", "r+b", buffering=0) as memory:
        for line in pathlib.Path(f"/proc/{process}/maps").read_text().splitlines():
            span, rights, *rest = line.split()
            # The heap and anonymous memory: not what belongs to a file or to the kernel.
            if not rights.startswith("rw") or rest[3:] not in ([], ["[heap]"]):
                continue
            first, end = (int(address, 16) for address in span.split("-"))
            memory.seek(first)
            for frame in FRAME.finditer(memory.read(end - first)):
                memory.seek(first + frame.end() + 12)
                byte = memory.read(1)[0]
                memory.seek(first + frame.end() + 12)
                memory.write(bytes([byte ^ 1]))
                flipped += 1
    return flipped


@causes("EngageBffInternalErrors")
def memory_is_faulty(cluster):
    contacts = unread(cluster)

    def tick():
        chosen = list(itertools.islice(contacts, 5))
        for one in chosen:
            cluster.ask(f"contactId={one}&parts=none", replica=3)
        if not flip_a_bit_of_each_record(cluster.process("replica-3")):
            raise Failure("no record was found in memory")
        for one in chosen:
            # Not rendered before, so it is made of the record.
            cluster.ask(f"contactId={one}&parts=vouchers", replica=3)

    yield tick
    cluster.restart("replica-3")


@causes("EngageBffSharedTierUnavailable")
def redis_ends(cluster):
    cluster.run("stop", "redis")
    try:
        yield
    finally:
        cluster.run("start", "redis")


@causes("EngageBffSharedTierGaps")
def redis_is_flushed(cluster):
    def tick():
        cluster.redis("flushall")
        time.sleep(1)

    yield tick


@causes("EngageBffSharedTierUnreadable")
def stored_values_are_changed(cluster):
    change = """
        for _, key in ipairs(redis.call('KEYS', '*:c:*')) do
            for _, field in ipairs(redis.call('HKEYS', key)) do
                local value = redis.call('HGET', key, field)
                if string.len(value) > 100 then
                    redis.call('HSET', key, field, string.sub(value, 1, -9) .. 'modified')
                end
            end
        end
    """
    contacts = unread(cluster)

    def tick():
        chosen = list(itertools.islice(contacts, 5))
        for one in chosen:
            cluster.ask(f"contactId={one}", replica=1)
        cluster.redis("eval", change, "0")
        for one in chosen:
            cluster.ask(f"contactId={one}", replica=2)

    yield tick


# --- webhooks ----------------------------------------------------------------------------------------------------------


def deliver(cluster, body, key=SECRET, replica=None):
    """Sends a delivery, signed as Svix does."""
    message, at = f"msg_{os.urandom(12).hex()}", str(int(time.time()))
    signature = hmac.new(base64.b64decode(key), f"{message}.{at}.{body}".encode(), hashlib.sha256)
    headers = {
        "svix-id": message,
        "svix-timestamp": at,
        "svix-signature": f"v1,{base64.b64encode(signature.digest()).decode()}",
    }
    base = cluster.service if replica is None else cluster.replicas[replica - 1]
    return send("POST", f"{base}/webhooks/engage", headers, body.encode())


def genuine(cluster, count):
    """Deliveries that are understood, of changes of one contact."""
    body = {"eventId": "1", "eventType": "contact.updated", "isEncrypted": False, "payload": {"contactId": ALVA}}
    at_once([lambda: deliver(cluster, json.dumps(body))] * count)


@causes("EngageBffWebhooksSilent")
def no_webhooks(cluster):
    genuine(cluster, 1)
    cluster.restart("replica-2", "BFF_WEBHOOKS__SILENCE=1s")
    yield
    cluster.restart("replica-2")
    genuine(cluster, 1)


@causes("EngageBffWebhooksFailing")
def webhooks_that_are_not_json(cluster):
    yield lambda: deliver(cluster, "{")
    # Until less than a twentieth of what arrived in five minutes is missed.
    genuine(cluster, 300)


@causes("EngageBffWebhooksForged")
def webhooks_with_another_secret(cluster):
    yield lambda: [deliver(cluster, "{}", key=base64.b64encode(b"another secret of 24 byte")) for _ in range(5)]


# --- callers -----------------------------------------------------------------------------------------------------------


@causes("EngageBffUnauthorized")
def an_unknown_key(cluster):
    yield lambda: [cluster.ask("email=alva.testsson@example.com", "an-unknown-key") for _ in range(40)]


@causes("EngageBffTokensRefused")
def malformed_tokens(cluster):
    headers = {"Authorization": "Bearer eyJhbGciOiJFUzI1NiJ9.e30.AA"}
    yield lambda: [send("GET", f"{cluster.service}/customer/me", headers) for _ in range(10)]


@causes("EngageBffTokenKeysOld")
def the_issuer_is_unreachable(cluster):
    path = cluster.directory / "engage-bff.toml"
    right = path.read_text()
    path.write_text(right.replace("\njwks_file = ", '\njwks_url = "http://127.0.0.1:9/jwks.json"\n# '))
    try:
        # It is not ready for half a minute.
        cluster.restart("replica-3")
        yield
    finally:
        path.write_text(right)
        cluster.restart("replica-3")


def kiosk(cluster, queries):
    """Requests with the key that has every limit, at one replica."""
    return [cluster.ask(query, "cluster-kiosk-key", replica=1)[0] for query in queries]


@causes("EngageBffClientLimited")
def a_client_above_its_rate(cluster):
    yield lambda: kiosk(cluster, ["email=alva.testsson@example.com"] * 20)


@causes("EngageBffGuardTripped")
def a_client_that_guesses(cluster):
    numbers = itertools.count()

    def tick():
        kiosk(cluster, [f"email=unknown.{next(numbers)}@example.com"])

    yield tick


@causes("EngageBffManyCustomers")
def a_client_that_copies(cluster):
    contacts = unread(cluster)
    yield lambda: kiosk(cluster, [f"contactId={next(contacts)}&parts=none"])
