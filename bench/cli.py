"""`lab --help` against `python -c 'import click'`, as a ratio of medians in one run; prints JSON.

    python bench/cli.py [--rounds 15]

Rounds alternate, so that a neighbour on the machine disturbs both sides alike.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

GOAL = 2.0


def seconds(command: list[str]) -> float:
    """How long one command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def measure(rounds: int) -> dict[str, object]:
    """Both commands in turn; the first round only warms caches."""
    ours = [str(Path(sys.executable).parent / "lab"), "--help"]
    theirs = [sys.executable, "-c", "import click"]
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds + 1)][1:]
    help_s, click_s = median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)
    return {
        "what": "`lab --help` against `python -c 'import click'`",
        "ratio": round(median(a / b for a, b in pairs), 3),
        "goal": GOAL,
        "ok": median(a / b for a, b in pairs) <= GOAL,
        "help_ms": round(help_s * 1000, 1),
        "click_ms": round(click_s * 1000, 1),
        "rounds": rounds,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    print(json.dumps(measure(parser.parse_args().rounds)))
