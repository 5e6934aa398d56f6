"""Checks deploy/compose.yaml: against the schema of the Compose specification, and what a schema can't see.

    python3 tests/manifests/compose_file.py ENGAGE-BFF

Mounted files exist, ports are on loopback, the service accepts the configuration with the variables of each replica, and a
replica has the time that it needs to stop.
"""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import jsonschema
import yaml

from check import Mistake, require, seconds, setting

COMPOSE = pathlib.Path("deploy/compose.yaml")


def schema():
    """The specification's schema, as Docker's former Compose in Python contains it; its code is not run."""
    package = pathlib.Path(importlib.util.find_spec("compose").origin).parent
    return json.loads((package / "config" / "compose_spec.json").read_text())


def mounted(service):
    """The files and directories of the tree that a service sees, by their paths there."""
    paths = {}
    for volume in service.get("volumes", []):
        source, target, mode = volume.split(":")
        require(mode == "ro", f"{volume} can be written")
        require((COMPOSE.parent / source).exists(), f"there is no {source}")
        paths[target] = str((COMPOSE.parent / source).resolve())
    return paths


def check_replica(name, service, binary):
    paths = mounted(service)
    variables = {key: paths.get(value, value) for key, value in service["environment"].items()}
    config = paths[service["command"][-1]]
    run = subprocess.run(
        [binary, "check-config", "--config", config],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
    )
    require(run.returncode == 0, f"{name}: check-config: {run.stderr.strip()}")
    delay, grace = (seconds(setting(run.stdout, "server", f"shutdown_{key}")) for key in ("delay", "grace"))
    require(seconds(service["stop_grace_period"]) >= delay + grace + 5, f"{name}: stop_grace_period is too short")
    require(variables["BFF_OPERATIONS__HOSTS"] == name, f"{name}: Prometheus names it otherwise")


def main(binary):
    document = yaml.safe_load(COMPOSE.read_text())
    # Younger than this schema.
    document.pop("name")
    try:
        jsonschema.validate(document, schema())
    except jsonschema.ValidationError as error:
        raise Mistake(f"{error.json_path}: {error.message}") from None
    services = document["services"]
    for name, service in services.items():
        mounted(service)
        for port in service.get("ports", []):
            require(port.startswith("127.0.0.1:"), f"{name}: port {port} is not on loopback alone")
        for other in service.get("depends_on", []):
            require(other in services, f"{name} depends on {other}, which is not there")
    replicas = [name for name in services if name.startswith("replica-")]
    for name in replicas:
        check_replica(name, services[name], binary)
    targets = yaml.safe_load((COMPOSE.parent / "prometheus/targets.yml").read_text())
    scraped = [target for group in targets for target in group["targets"]]
    require(scraped == [f"{name}:9090" for name in replicas], f"Prometheus scrapes {scraped}")
    print(f"{len(services)} services of {COMPOSE} agree with each other and with the service")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Mistake as mistake:
        sys.exit(f"compose: {mistake}")
