"""A running cluster of scripts/cluster: its addresses, its processes, and its Prometheus."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "cluster"
# How long anything may take that is expected: far longer than it takes on a busy machine.
PATIENCE = 60

PLAIN_ADDRESS = re.compile(r"customer\.\d+@example\.com")

# Loopback only, whatever proxies the environment names.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Failure(Exception):
    """What was expected and did not happen."""


def until(what, condition, patience=PATIENCE):
    """Repeats the condition until it holds, and returns its value."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"not within {patience} s: {what}")
        time.sleep(0.25)


def send(method, url, headers=None, body=None, timeout=15):
    """Sends a request; returns status and body. A status of 0 is a connection without a response."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = dict(headers or {})
    if data is not None:
        headers.setdefault("Content-Type", "application/json")
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with _opener.open(request, timeout=timeout) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def printed_variables():
    """What `scripts/cluster env` prints."""
    printed = subprocess.run([SCRIPT, "env"], check=True, capture_output=True, text=True).stdout
    variables = {}
    for line in printed.splitlines():
        variables.update(word.split("=", 1) for word in shlex.split(line)[1:])
    return variables


class Cluster:
    """Replicas with all that belongs to them, at the addresses in these variables."""

    def __init__(self, variables=None):
        self.variables = variables or printed_variables()
        self.service = self.variables["SERVICE"]
        self.engage = self.variables["ENGAGE"]
        self.prometheus = self.variables["PROMETHEUS"]
        self.token = self.variables["TOKEN"]
        self.replicas = self.variables["REPLICAS"].split()
        self.operations = self.variables["OPERATIONS_OF_ALL"].split()
        self.directory = pathlib.Path(self.variables["CLUSTER"])

    def run(self, *arguments):
        """Runs scripts/cluster for this cluster."""
        environment = {**os.environ, "CLUSTER": str(self.directory)}
        done = subprocess.run([SCRIPT, *arguments], env=environment, capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"scripts/cluster {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def restart(self, name, *variables):
        self.run("stop", name)
        self.run("start", name, *variables)

    def process(self, name):
        """The id of a process."""
        return int((self.directory / f"{name}.pid").read_text().split()[0])

    def redis(self, *arguments):
        command = ["redis-cli", "-p", self.variables["REDIS_PORT"], *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def control(self, method, path, body=None):
        """Controls the simulator."""
        status, answer = send(method, f"{self.engage}/control/{path}", body=body)
        if status != 200:
            raise Failure(f"{method} /control/{path}: {status} {answer[:200]}")
        return json.loads(answer)

    def members(self, count, offset=10):
        """Ids and e-mail addresses of members of the simulator's, by a plain address that one contact has."""
        found = []
        for one in self.control("GET", f"contacts?offset={offset}&count={2 * count}")["ids"]:
            contact = self.control("GET", f"contacts/{one}")
            address = contact["attributes"]["email"] or ""
            if contact["meta"]["contactType"] == "Member" and PLAIN_ADDRESS.fullmatch(address):
                found.append((one, address))
        if len(found) < count:
            raise Failure(f"{len(found)} members, not {count}")
        return found[:count]

    def operator(self, replica, method, path, body=None):
        """A request to a replica's operations listener, with the token."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return send(method, f"{self.operations[replica - 1]}{path}", headers, body)

    def ask(self, query, key="cluster-shop-key", replica=None, timeout=15):
        """Looks a customer up, by way of nginx or at one replica."""
        base = self.service if replica is None else self.replicas[replica - 1]
        return send("GET", f"{base}/customer?{query}", {"X-Api-Key": key}, timeout=timeout)

    # --- Prometheus ------------------------------------------------------------------------------------------------

    def _prometheus(self, path, **parameters):
        url = f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        status, body = send("GET", url)
        answer = json.loads(body or b"{}")
        if status != 200 or answer.get("status") != "success":
            raise Failure(f"Prometheus, {path}: {status} {answer.get('error')} {parameters}")
        return answer["data"]

    def query(self, expression):
        """The series of an instant query: labels and value."""
        result = self._prometheus("query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in result]

    def rules(self):
        return [rule for group in self._prometheus("rules")["groups"] for rule in group["rules"]]

    def firing(self):
        """The firing alerts, as labels."""
        alerts = self._prometheus("alerts")["alerts"]
        return [alert["labels"] for alert in alerts if alert["state"] == "firing"]
