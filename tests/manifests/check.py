"""Checks the Kubernetes manifests of one overlay, as `kubectl kustomize` prints them, against each other and against the
service: what a schema can't see.

    python3 tests/manifests/check.py MANIFESTS.yaml ENGAGE-BFF

Selectors select, ports exist, and the service accepts the mounted configuration with the variables of the container; the
memory and the time to stop suffice for it.
"""

import base64
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

ALERTS = pathlib.Path("deploy/prometheus/alerts.yml")
SECRETS = pathlib.PurePosixPath("/run/secrets/engage-bff")
# What the Secret would contain, by file.
SECRET_VALUES = {
    "engage-api-key": "an-api-key",
    "operations-token": "a-token-of-operators-for-tests",
    "redis-url": "rediss://engage-bff:password@redis.example.com:6379",
    "redis-encryption-keys": base64.b64encode(bytes(range(32))).decode(),
    "telemetry-digest-key": "a-digest-key-of-32-characters-xx",
}
SIZES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


class Mistake(Exception):
    """What is wrong with the manifests."""


def require(holds, what):
    if not holds:
        raise Mistake(what)


def only(documents, kind):
    found = [each for each in documents if each["kind"] == kind]
    require(len(found) == 1, f"there are {len(found)} of {kind}, not one")
    return found[0]


def selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def check_selectors(documents, pods):
    """Every selector selects the pods, or the Service, that it is meant for."""
    labels, container = pods["metadata"]["labels"], pods["spec"]["containers"][0]
    ports = {port["name"] for port in container["ports"]}
    services = [each for each in documents if each["kind"] == "Service"]
    for service in services:
        name, spec = service["metadata"]["name"], service["spec"]
        require(selects(spec["selector"], labels), f"Service {name} selects no pod")
        for port in spec["ports"]:
            require(port["targetPort"] in ports, f"Service {name}: no port {port['targetPort']}")
    for each in documents:
        kind, spec = each["kind"], each.get("spec", {})
        if kind == "PodDisruptionBudget":
            require(selects(spec["selector"]["matchLabels"], labels), f"{kind} selects no pod")
        if kind == "NetworkPolicy":
            require(selects(spec["podSelector"].get("matchLabels"), labels), f"{kind} does not select the pods alone")
            named = {port["port"] for rule in spec["ingress"] for port in rule["ports"]}
            require(named <= ports, f"{kind}: no port {named - ports}")
        if kind == "HorizontalPodAutoscaler":
            target = spec["scaleTargetRef"]["name"]
            require(target == only(documents, "Deployment")["metadata"]["name"], f"{kind} scales {target}")
        if kind == "PrometheusRule":
            require(spec == yaml.safe_load(ALERTS.read_text()), f"{kind}: not the rules of {ALERTS}")
        if kind == "ServiceMonitor":
            meant = [s for s in services if selects(spec["selector"]["matchLabels"], s["metadata"]["labels"])]
            require(len(meant) == 1, f"{kind} selects {len(meant)} Services")
            offered = {port["name"] for port in meant[0]["spec"]["ports"]}
            for endpoint in spec["endpoints"]:
                require(endpoint["port"] in offered, f"{kind}: no port {endpoint['port']}")
                require(endpoint["path"] == "/metrics", f"{kind}: {endpoint['path']} is no path of metrics")


def check_probes(container):
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        get = container[probe]["httpGet"]
        require(get["port"] == "operations", f"{probe} is not on the operations listener")
        require(get["path"] in ("/livez", "/readyz"), f"{probe}: {get['path']} is no probe")


def effective_configuration(documents, pods, service, directory):
    """What `check-config` prints for the configuration and the variables of the container, or a mistake."""
    container = pods["spec"]["containers"][0]
    path = container["args"][container["args"].index("--config") + 1]
    volume = next(v for v in pods["spec"]["volumes"] if v["name"] == "config")
    files = next(
        each["data"]
        for each in documents
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == volume["configMap"]["name"]
    )
    name = pathlib.PurePosixPath(path).name
    require(name in files, f"the ConfigMap has no {name}")
    (directory / name).write_text(files[name])
    environment = {"PATH": os.environ["PATH"]}
    for variable in container["env"]:
        value = variable["value"]
        if variable["name"].endswith("_FILE"):
            secret = pathlib.PurePosixPath(value)
            require(secret.parent == SECRETS, f"{variable['name']} is not below {SECRETS}")
            require(secret.name in SECRET_VALUES, f"no test value for the secret {secret.name}")
            (directory / secret.name).write_text(SECRET_VALUES[secret.name])
            value = str(directory / secret.name)
        environment[variable["name"]] = value
    run = subprocess.run(
        [service, "check-config", "--config", str(directory / name)], env=environment, capture_output=True, text=True
    )
    require(run.returncode == 0, f"check-config: {run.stderr.strip()}")
    return run.stdout


def setting(printed, section, key):
    """The value of a key of the effective configuration."""
    of_section = re.search(rf"^\[{section}\]$(.*?)(?=^\[|\Z)", printed, re.MULTILINE | re.DOTALL)
    value = of_section and re.search(rf'^{key} = "([^"]*)"', of_section.group(1), re.MULTILINE)
    require(value, f"check-config prints no {section}.{key}")
    return value.group(1)


def seconds(text):
    amount, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()
    return int(amount) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def size(text):
    amount, unit = re.fullmatch(r"(\d+)([KMG]i)B?", text).groups()
    return int(amount) * SIZES[unit]


def check_resources(pods, printed):
    """The rules of OPERATIONS.md: "Sizing", "Rolling updates"."""
    container = pods["spec"]["containers"][0]
    limit = size(container["resources"]["limits"]["memory"])
    least = 1.5 * size(setting(printed, "cache", "max_size")) + size("512Mi")
    require(limit >= least, f"the memory limit is {limit}, less than {least:.0f}")
    stop = seconds(setting(printed, "server", "shutdown_delay")) + seconds(setting(printed, "server", "shutdown_grace"))
    grace = pods["spec"]["terminationGracePeriodSeconds"]
    require(grace >= stop + 5, f"terminationGracePeriodSeconds is {grace}, less than {stop + 5}")
    security = container["securityContext"]
    require(security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], "not confined")
    require(pods["spec"]["securityContext"]["runAsNonRoot"], "runs as root")


def main(manifests, service):
    documents = [each for each in yaml.safe_load_all(pathlib.Path(manifests).read_text()) if each]
    pods = only(documents, "Deployment")["spec"]["template"]
    check_selectors(documents, pods)
    check_probes(pods["spec"]["containers"][0])
    with tempfile.TemporaryDirectory() as directory:
        printed = effective_configuration(documents, pods, service, pathlib.Path(directory))
    check_resources(pods, printed)
    print(f"{len(documents)} manifests agree with each other and with the service")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Mistake as mistake:
        sys.exit(f"manifests: {mistake}")
