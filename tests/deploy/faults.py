"""Makes alerts fire by the faults that they are about, and lets them end.

    python3 tests/deploy/faults.py [ALERT...]    started by scripts/cluster faults
"""

import contextlib
import os
import sys
import time

import causes
from cluster import Cluster, Failure, until

# What this run can't cause.
NO_FAULT = {} if os.geteuid() == 0 else {"EngageBffInternalErrors": "the memory of a replica is changed, which takes root"}


def firing(cluster):
    return {labels["alertname"] for labels in cluster.firing()}


def _until_they_fire(cluster, alerts, ticks):
    def all_fire():
        for tick in ticks:
            tick()
        return alerts <= firing(cluster)

    try:
        until("", all_fire)
    except Failure:
        raise Failure(f"{', '.join(sorted(alerts - firing(cluster)))} did not fire") from None


def together(cluster, alerts):
    """Causes all of these alerts at once, and then ends their causes; fails unless each fires and ends."""
    alerts, began = set(alerts), time.monotonic()
    with contextlib.ExitStack() as stack:
        chosen = {causes.OF[alert] for alert in alerts}
        ticks = [stack.enter_context(cause(cluster)) for cause in sorted(chosen, key=lambda cause: cause.__name__)]
        _until_they_fire(cluster, alerts, [tick for tick in ticks if tick])
        fired = time.monotonic()
    # A circuit breaker closes with a call that succeeds.
    caller = causes.misses(cluster, 3)

    def all_have_ended():
        caller()
        return not alerts & firing(cluster)

    until(f"the end of {', '.join(sorted(alerts))}", all_have_ended, patience=120)
    print(
        f"{', '.join(sorted(alerts))}: fired after {fired - began:.0f} s, ended after {time.monotonic() - fired:.0f} s",
        flush=True,
    )


def main(wanted):
    cluster = Cluster()
    until("Prometheus scrapes every replica", lambda: len(cluster.query("up == 1")) == len(cluster.replicas))
    every = {rule["name"] for rule in cluster.rules()}
    unknown = every - set(causes.OF) - set(NO_FAULT)
    if unknown:
        raise Failure(f"no fault is known for {', '.join(sorted(unknown))}")
    tried, fired, failed = set(wanted) or every - set(NO_FAULT), 0, []
    for cause, alerts in causes.grouped(tried):
        try:
            together(cluster, alerts)
            fired += len(alerts)
        except Failure as failure:
            failed.append(f"{cause.__name__}: {failure}")
            print(f"FAILED: {failed[-1]}", flush=True)
    for alert, why in NO_FAULT.items():
        print(f"{alert}: not tried: {why}")
    print(f"{fired} of {len(set(wanted) or every)} alerts fired by their faults, and ended with them")
    if failed:
        raise Failure(f"{len(failed)} of the faults:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        sys.exit(f"faults: {failure}")
