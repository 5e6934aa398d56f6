"""The cluster for a minute: every kind of request, a rolling restart under load, every query, and some faults.

    python3 tests/deploy/check.py                started by scripts/cluster check
"""

import sys
import time

import faults
import queries
import rolling
import traffic
from cluster import Cluster, Failure, until

# One of each group, at once: none of them hides another.
FAULTS = ["EngageBffBreakerOpen", "EngageBffCacheOff", "EngageBffSharedTierUnavailable", "EngageBffUnauthorized"]


def main():
    cluster, began = Cluster(), time.monotonic()
    until("Prometheus scrapes every replica", lambda: len(cluster.query("up == 1")) == len(cluster.replicas))
    traffic.every_kind(cluster)
    rolling.restart(cluster, 500)
    # Replicas that have just started: each must have something to show.
    traffic.every_kind(cluster)
    time.sleep(2)
    queries.check(cluster)
    faults.together(cluster, FAULTS)
    print(f"cluster: all is well, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"cluster check: {failure}")
