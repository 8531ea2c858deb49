"""Every figure of speed, each beside its goal, each a ratio or a time of one run on this machine.

python -m bench        prints a table; exits 1 where a goal is missed, 4 where a measurement failed
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WHAT = {
    "stack": "stack ready against `docker compose up -d --wait`",
    "idle": "seconds of a trial in which no question is open",
    "failover": "seconds from a crashed primary to a judged trial",
    "judging": "judging events against json.loads on the same lines",
}


def rows(name: str, told: dict[str, Any]) -> Iterator[tuple[str, float, str, bool, str]]:
    """What was measured, its figure, its goal, whether it is met, and the details, of one script's JSON."""
    if "goal" not in told:
        for inner in told.values():
            if isinstance(inner, dict):
                yield from rows(name, inner)
        return
    value = float(told.get("ratio", told.get("seconds", float("nan"))))
    goal = told["goal"] if isinstance(told["goal"], str) else f"<= {told['goal']:g}"
    sign, limit = goal.split()
    met = value >= float(limit) if sign == ">=" else value <= float(limit)
    details = {key: item for key, item in told.items() if key not in ("what", "goal", "ratio", "seconds", "ok")}
    yield str(told.get("what", WHAT.get(name, name))), value, goal, met, json.dumps(details)


def main() -> int:
    """Run every script beside this one."""
    failed = missed = False
    for script in sorted(HERE.glob("[!_]*.py")):
        print(f"bench: {script.stem} ...", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            print(f"FAILED  {script.stem}: exit code {done.returncode}")
            failed = True
            continue
        for what, value, goal, met, details in rows(script.stem, json.loads(done.stdout)):
            print(f"{'met   ' if met else 'MISSED'}  {value:8.3f}  goal {goal:<7} {what}\n{'':26}{details}", flush=True)
            missed |= not met
    return 4 if failed else int(missed)


if __name__ == "__main__":
    sys.exit(main())
