"""Every query of the dashboard and of the alerts, asked of a real Prometheus: a panel must show data, and each series that
an alert is about must exist before anything is wrong."""

import json
import math
import re

from cluster import ROOT, Failure

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "engage-bff.json"
# What Grafana puts in place of its variables, for every job and replica and scrapes every second.
VARIABLES = {"$job": ".*", "$instance": ".*", "$__rate_interval": "2m"}
# A metric of ours, or of the process or the scrape, with its labels.
SELECTOR = re.compile(r"\b(?:engage_bff_\w+|process_\w+|up)\b(?:\{[^}]*\})?")


def panel_queries():
    """The title of each panel with one of its queries."""
    dashboard = json.loads(DASHBOARD.read_text())
    queries = [(each["name"], each["expr"]) for each in dashboard["annotations"]["list"]]
    for panel in dashboard["panels"]:
        queries += [(panel["title"], target["expr"]) for target in panel.get("targets", [])]
    return queries


def has_data(series):
    return any(not math.isnan(value) for _, value in series)


def panels_without_data(cluster):
    missing = []
    for title, expression in panel_queries():
        for variable, value in VARIABLES.items():
            expression = expression.replace(variable, value)
        if not has_data(cluster.query(expression)):
            missing.append(f"panel {title}: {expression}")
    return missing


def alerts_without_data(cluster):
    missing = []
    for rule in cluster.rules():
        if rule["health"] == "err":
            missing.append(f"alert {rule['name']}: {rule.get('lastError')}")
        for selector in SELECTOR.findall(rule["query"]):
            if not has_data(cluster.query(selector)):
                missing.append(f"alert {rule['name']}: {selector}")
    return missing


def check(cluster):
    """Fails with a list of the queries without data."""
    missing = panels_without_data(cluster) + alerts_without_data(cluster)
    if missing:
        raise Failure("queries without data:\n  " + "\n  ".join(missing))
    panels, alerts = len(panel_queries()), len(cluster.rules())
    print(f"queries: {panels} of panels and those of {alerts} alerts have data")
