"""Python's HTTP clients, and one that behaves like the JDK's, and a service that refuses requests: every response must
be received completely.

    refused.py CASES COUNT

CASES is a file that scripts/clients writes. Prints a line per client and refusal: complete responses, all responses, and
the first failure.
"""

import http.client
import json
import socket
import sys
import time
from urllib.parse import urlsplit

import httpx

with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
count = int(sys.argv[2])
# Enough time for the service to respond, and perhaps close, between the head and the body.
PAUSE = 0.001


class Httpx:
    name = "httpx"

    def __init__(self, base):
        self.client = httpx.Client(base_url=base, timeout=20, trust_env=False)

    def send(self, case):
        def body():
            time.sleep(PAUSE)
            yield case["body"]

        headers = case["headers"] | {"content-length": str(len(case["body"]))}
        response = self.client.request(case["method"], case["path"], headers=headers, content=body())
        return response.status_code, response.content


class HttpClient:
    name = "http.client"

    def __init__(self, base):
        self.connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=20)

    def send(self, case):
        connection = self.connection
        connection.putrequest(case["method"], case["path"])
        for name, value in case["headers"].items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(case["body"])))
        connection.endheaders()
        time.sleep(PAUSE)
        connection.send(case["body"])
        response = connection.getresponse()
        return response.status, response.read()


class Jdk:
    """Keeps its connection, writes head and body before it reads, and fails if a write fails."""

    name = "like the JDK"

    def __init__(self, base):
        parts = urlsplit(base)
        self.address = (parts.hostname, parts.port)
        self.socket = None

    def send(self, case):
        try:
            return self.exchange(case)
        except OSError:
            self.close()
            raise

    def close(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def exchange(self, case):
        if not self.socket:
            self.socket = socket.create_connection(self.address, timeout=20)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = case["headers"] | {"host": "bff", "content-length": str(len(case["body"]))}
        head = f"{case['method']} {case['path']} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.socket.sendall(f"{head}\r\n".encode())
        time.sleep(PAUSE)
        for start in range(0, len(case["body"]), 8192):
            self.socket.sendall(case["body"][start : start + 8192])
        response = http.client.HTTPResponse(self.socket, method=case["method"])
        response.begin()
        body = response.read()
        if response.will_close:
            self.close()
        return response.status, body


for case in cases["cases"]:
    case["body"] = case["body"].encode() * case["times"]
for kind in (Httpx, HttpClient, Jdk):
    for case in cases["cases"]:
        client, whole, tried, missed = kind(cases["base"]), 0, 0, ""
        while tried < count:
            try:
                status, body = client.send(case)
                code = json.loads(body)["code"]
                if status == case["besides"]:
                    # Not refused: a limited client is served once per second.
                    continue
                if (status, code) == (case["status"], case["code"]):
                    whole += 1
                else:
                    missed = missed or f"{status} {code}"
            except Exception as error:  # The caller of the client would see any of them.
                missed = missed or f"{type(error).__name__}: {error}"
                client = kind(cases["base"])
            tried += 1
        print(kind.name, case["status"], whole, tried, missed, sep="\t", flush=True)
