"""Runs every command of docs/RUNBOOKS.md as it is written there, with the variables that the page begins with.

    python3 tests/deploy/runbooks.py             started by scripts/cluster runbooks
"""

import os
import subprocess
import sys
import textwrap

import traffic
from cluster import ROOT, Cluster, Failure

PAGE = ROOT / "docs" / "RUNBOOKS.md"


def blocks(text):
    """The shell blocks, each with the heading that it is below."""
    heading, block = "", None
    for line in text.splitlines():
        if block is not None:
            if line.strip() == "```":
                yield heading, textwrap.dedent("\n".join(block))
                block = None
            else:
                block.append(line)
        elif line.strip() == "```sh":
            block = []
        elif line.startswith("#"):
            heading = line.lstrip("# ")


def main():
    cluster = Cluster()
    traffic.every_kind(cluster)
    redis = f"redis://127.0.0.1:{cluster.variables['REDIS_PORT']}"
    # The service's own binary, configuration and variables, as on the machine of a replica.
    environment = os.environ | cluster.variables | {
        "PATH": f"{os.environ['BINARIES']}:{os.environ['PATH']}",
        "BFF_ENGAGE__BASE_URL": cluster.engage,
        "BFF_REDIS__URL": redis,
    }
    ran = 0
    for heading, block in blocks(PAGE.read_text()):
        # The variables themselves: here those of the cluster.
        if block.startswith("export "):
            continue
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], env=environment, cwd=cluster.directory, capture_output=True, text=True
        )
        if done.returncode:
            raise Failure(f"{heading}: exit status {done.returncode}\n{block}\n{done.stdout}\n{done.stderr}")
        print(f"--- {heading}\n{textwrap.indent(done.stdout.strip()[:400], '  ')}", flush=True)
        ran += 1
    print(f"runbooks: {ran} blocks ran as written")


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        sys.exit(f"runbooks: {failure}")
