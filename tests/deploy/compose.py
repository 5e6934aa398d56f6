"""deploy/compose.yaml with Podman: its services start, work together, and lose no request while each replica is restarted.

    python3 tests/deploy/compose.py              started by scripts/container compose

Needs podman-compose in the path, PyYAML, and the images that the variables of the Compose file name. Grafana is left out: no
stand-in of it is to be had. Its provisioning is compared with the dashboard by tests/deploy.rs.
"""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

import yaml

import rolling
import traffic
from cluster import ROOT, Cluster, Failure, send, until

FILE = ROOT / "deploy" / "compose.yaml"
PROJECT = "engage-bff-check"
PORTS = ["SERVICE", "SIMULATOR", "OPERATIONS_1", "OPERATIONS_2", "PROMETHEUS"]
# More than stop_grace_period.
STOP = "30"
# Requests a second during the rolling restart.
RATE = 200


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [str(one.getsockname()[1]) for one in taken]


class Containers(Cluster):
    """The services of the Compose file."""

    def __init__(self, document, directory):
        self.services = [name for name in document["services"] if name != "grafana"]
        replicas = [name for name in self.services if name.startswith("replica-")]
        # Podman's default of processes is more than a sandbox allows; a limit of the file replaces all of its defaults.
        limits = pathlib.Path(directory) / "limits.yaml"
        nofile = document["services"][replicas[0]]["ulimits"]["nofile"]
        limits.write_text(
            yaml.safe_dump({"services": {name: {"ulimits": {"nofile": nofile, "nproc": 4096}} for name in replicas}})
        )
        self.command = ["podman-compose", "--project-name", PROJECT, "--file", str(FILE), "--file", str(limits)]
        ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.environment = os.environ | {f"{name}_PORT": port for name, port in ports.items()}
        at = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        addresses = [document["services"][name]["networks"]["default"]["ipv4_address"] for name in replicas]
        super().__init__(
            {
                "SERVICE": at["SERVICE"],
                "ENGAGE": at["SIMULATOR"],
                "PROMETHEUS": at["PROMETHEUS"],
                "TOKEN": "cluster-operations-token",
                "KEY": "cluster-shop-key",
                "REPLICAS": " ".join(f"http://{address}:8080" for address in addresses),
                "OPERATIONS_OF_ALL": f"{at['OPERATIONS_1']} {at['OPERATIONS_2']}",
                "CLUSTER": directory,
            }
        )

    def compose(self, *arguments):
        done = subprocess.run(
            [*self.command, *arguments], env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        if done.returncode:
            raise Failure(f"podman-compose {' '.join(arguments)}: {done.stderr.strip()[-2000:]}")

    def inspect(self, service, field):
        command = ["podman", "inspect", "--format", f"{{{{.{field}}}}}", f"{PROJECT}_{service}_1"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def run(self, act, service):
        """Stops or starts one service, as rolling.py has it done."""
        if act == "stop":
            self.compose("stop", "--timeout", STOP, service)
            code = self.inspect(service, "State.ExitCode")
            if code != "0":
                raise Failure(f"{service} ended with {code}")
        else:
            self.compose("start", service)
            operations = self.operations[int(service.removeprefix("replica-")) - 1]
            until(f"{service} is ready", lambda: send("GET", f"{operations}/readyz")[0] == 200)

    def logs(self):
        for service in self.services:
            done = subprocess.run(
                ["podman", "logs", "--tail", "20", f"{PROJECT}_{service}_1"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            print(f"--- {service}\n{done.stdout}", file=sys.stderr)


def works_together(cluster):
    key = {"X-Api-Key": cluster.variables["KEY"]}
    query = f"{cluster.service}/customer?email={traffic.KNOWN}"
    until("a customer by way of nginx", lambda: send("GET", query, key)[0] == 200)

    for operations in cluster.operations:
        available = b"\nengage_bff_shared_tier_available 1\n"
        until("the shared tier is in use", lambda: available in send("GET", f"{operations}/metrics")[1])

    def has_ended():
        return cluster.inspect("webhooks", "State.Status") == "exited"

    until("the simulator sends its webhooks to nginx", has_ended)
    code = cluster.inspect("webhooks", "State.ExitCode")
    if code != "0":
        raise Failure(f"the service webhooks ended with {code}")
    traffic.every_kind(cluster)
    for name in [name for name in cluster.services if name.startswith("replica-")]:
        container = f"{PROJECT}_{name}_1"
        # The file's check, and the image's own, which has the environment and not the file.
        for check in [["healthcheck", "run", container], ["exec", container, "/engage-bff", "healthcheck"]]:
            done = subprocess.run(["podman", *check], capture_output=True, text=True)
            if done.returncode:
                raise Failure(f"podman {' '.join(check)}: {done.stdout}{done.stderr}")
    print("a customer, every kind of request, webhooks, and the health checks: as they should be", flush=True)


def is_observed(cluster):
    """What Prometheus shows of the two replicas, scraped every fifteen seconds."""
    for what, query in {
        "Prometheus scrapes both replicas": "sum(up) == 2",
        "both use the shared tier": "sum(engage_bff_shared_tier_available) == 2",
        "each knows of the other": "min(engage_bff_shared_tier_replicas) == 2",
        "a webhook was taken": 'sum(engage_bff_webhooks_total{outcome="taken"}) > 0',
    }.items():
        until(what, lambda: cluster.query(query))
        print(what, flush=True)
    wrong = [rule["name"] for rule in cluster.rules() if rule["health"] == "err"]
    if wrong or not cluster.rules():
        raise Failure(f"alerts that can't be evaluated: {wrong}")


def main():
    began = time.monotonic()
    document = yaml.safe_load(FILE.read_text())
    with tempfile.TemporaryDirectory() as directory:
        cluster = Containers(document, directory)
        try:
            cluster.compose("up", "--detach", "--no-build", *cluster.services)
            print(f"{len(cluster.services)} services, after {time.monotonic() - began:.0f} s", flush=True)
            works_together(cluster)
            is_observed(cluster)
            rolling.restart(cluster, RATE)
        except Failure:
            cluster.logs()
            raise
        finally:
            cluster.compose("down", "--timeout", STOP)
    print(f"compose: all is well, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"compose: {failure}")
