"""Restarts the replicas in turn while callers send requests through nginx: none may fail.

    python3 tests/deploy/rolling.py RATE         started by scripts/cluster rolling
"""

import asyncio
import sys

from cluster import Cluster, Failure, until
from load import Load

# Cached customers, as of a shop's active sessions: their refreshes stay within the budget.
CUSTOMERS = 100


async def roll(cluster, rate):
    """Restarts each replica once under load; returns what the callers saw, and for how long."""
    queries = [f"email={address}" for _, address in cluster.members(CUSTOMERS)]
    for query in queries:
        until(f"{query} is cached", lambda: cluster.ask(query)[0] == 200)
    load = Load(cluster.service, queries, cluster.variables["KEY"], rate)
    running = asyncio.create_task(load.run())
    await asyncio.sleep(5)
    for number in range(1, len(cluster.replicas) + 1):
        await asyncio.to_thread(cluster.restart, f"replica-{number}")
        # nginx uses it again at once; time for its share of the records before the next one ends.
        await asyncio.sleep(3)
    await asyncio.sleep(2)
    load.stop()
    await running
    return load


def restart(cluster, rate):
    """Fails if a request failed, or fewer were sent."""
    load = asyncio.run(roll(cluster, rate))
    sent = load.tally.answered + load.tally.failed
    print(f"rolling restart: {sent / load.seconds:.0f} requests a second for {load.seconds:.0f} s: {load.tally}", flush=True)
    if load.tally.failed:
        raise Failure(f"{load.tally.failed} requests failed")
    # Each caller waits for its answer, so on a busy machine they send somewhat fewer.
    if sent / load.seconds < 0.7 * rate:
        raise Failure(f"{sent / load.seconds:.0f} requests a second were sent, not {rate}")


if __name__ == "__main__":
    try:
        restart(Cluster(), float(sys.argv[1]))
    except Failure as failure:
        sys.exit(f"rolling: {failure}")
