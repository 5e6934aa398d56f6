"""Requests at a constant rate over kept connections, each of which is counted: answered, another status, or lost."""

import asyncio
import collections
import time
import urllib.parse


class Tally:
    """What callers saw."""

    def __init__(self):
        self.statuses = collections.Counter()
        self.lost = collections.Counter()
        self.seconds = []

    @property
    def answered(self):
        return self.statuses[200]

    @property
    def failed(self):
        return sum(self.statuses.values()) - self.answered + sum(self.lost.values())

    def __str__(self):
        ordered = sorted(self.seconds) or [0.0]

        def milliseconds(share):
            return f"{1000 * ordered[min(int(share * len(ordered)), len(ordered) - 1)]:.1f} ms"

        failures = {**{status: count for status, count in self.statuses.items() if status != 200}, **self.lost}
        reasons = f" {failures}" if failures else ""
        times = f"median {milliseconds(0.5)}, 99 % {milliseconds(0.99)}, longest {milliseconds(1)}"
        return f"{self.answered} answered, {self.failed} failed{reasons}; {times}"


async def _read(reader):
    """Reads one response; returns its status, and whether the connection stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields[name.lower()] = value.strip().lower()
    if fields.get("transfer-encoding") == "chunked":
        while size := int(await reader.readuntil(b"\r\n"), 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    else:
        await reader.readexactly(int(fields.get("content-length", "0")))
    return int(lines[0].split(" ")[1]), fields.get("connection") != "close"


class Load:
    """Callers of one address, each with a connection of its own, at `rate` requests a second together."""

    def __init__(self, base, queries, key, rate, callers=40):
        address = urllib.parse.urlsplit(base)
        self.host, self.port = address.hostname, address.port
        self.rate, self.callers = rate, callers
        self.requests = [
            f"GET /customer?{query} HTTP/1.1\r\nHost: {address.netloc}\r\nX-Api-Key: {key}\r\n\r\n".encode()
            for query in queries
        ]
        self.tally = Tally()
        self._goes_on = False

    def stop(self):
        self._goes_on = False

    async def run(self):
        self._goes_on, began = True, time.monotonic()
        await asyncio.gather(*(self._call(number, began) for number in range(self.callers)))
        self.seconds = time.monotonic() - began

    async def _call(self, number, began):
        connection, sent = None, number
        while self._goes_on:
            await asyncio.sleep(max(0.0, began + sent / self.rate - time.monotonic()))
            request = self.requests[sent % len(self.requests)]
            connection = await self._send(connection, request)
            sent += self.callers
        if connection:
            connection[1].close()

    async def _send(self, connection, request):
        """Sends one request; returns the connection, if it stays open."""
        start = time.monotonic()
        try:
            if connection is None:
                connection = await asyncio.open_connection(self.host, self.port)
            reader, writer = connection
            writer.write(request)
            status, stays = await asyncio.wait_for(_read(reader), timeout=20)
        except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            self.tally.lost[type(error).__name__] += 1
            return None
        self.tally.statuses[status] += 1
        self.tally.seconds.append(time.monotonic() - start)
        if not stays:
            writer.close()
        return connection if stays else None
