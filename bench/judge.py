"""Judging a long trial against json.loads of the same lines: reading, merging and every checker, in one ratio.

    python bench/judge.py [--events 1000000] [--rounds 3]      prints JSON

The trial is made up: 30 DNS clients, four crashes, mostly requests as a real one has them. The middle ratio counts.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from random import Random
from statistics import median

import orjson

from lab.history import History
from lab.judge import judge_trial
from lab.testing import START_NS, S, Tale, ns

GOAL = 3.0
CLIENTS = 30
SHARE_OF_VIEWS = 0.05


def make_trial(folder: Path, events: int) -> int:
    """Write a whole valid trial of about so many events; returns how many there are."""
    end_s = 60.0
    phases = {"ready": -1.0, "baseline": 0.0, "strike": 6.0, "hold": 12.0, "heal": 40.0, "settle": 41.0, "final": end_s}
    tale = Tale(clients=CLIENTS, instances=8, phases=phases, first_views=False)
    struck = {f"backend{number}": 6.0 + 1.25 * number for number in range(1, 5)}
    for node, at_s in struck.items():
        tale.strike("crash", node, at_s, width_s=0.0004)
        for step, after_s in (("detected", 1.6), ("published", 1.61), ("propagated", 1.63)):
            tale.registry(step, node, at_s + after_s, server="ns1")
        tale.heal(node, 40.1).up(node, 40.4)
    lines = {path: path.read_bytes().splitlines() for path in tale.write(folder)}
    clients = next(path for path in lines if path.stem.startswith("clients"))
    rng = Random(7)
    told = [orjson.loads(line) for line in lines[clients][1:] if b'"load.' not in line]
    told += _views(int(events * SHARE_OF_VIEWS), end_s, struck, rng)
    requests = _requests(events - len(told) - sum(map(len, lines.values())), end_s, struck, rng)
    told += [*requests, *_account(requests, int(end_s))]
    told.sort(key=lambda event: event["t_ns"])
    out = [lines[clients][0], *(orjson.dumps({**event, "seq": seq}) for seq, event in enumerate(told))]
    clients.write_bytes(b"\n".join(out) + b"\n")
    return len(told) + sum(len(each) - 1 for path, each in lines.items() if path != clients)


def _views(count: int, end_s: float, struck: dict[str, float], rng: Random) -> list[dict[str, object]]:
    """Every client refreshes its view evenly, and learns of crashes and returns as it does."""
    made: list[dict[str, object]] = []
    every_s = end_s * CLIENTS / count
    for client in range(1, CLIENTS + 1):
        at_s, known = 0.1 + rng.random() * 0.5, frozenset[str]()
        while at_s < end_s:
            gone = {node for node, died_s in struck.items() if died_s + 1.63 < at_s < 42.0}
            now = frozenset(f"backend{number}" for number in range(1, 9)) - gone
            view: dict[str, object] = {"t_ns": ns(at_s), "kind": "view", "client": client, "service": "shop"}
            view |= {"added": sorted(now - known), "removed": sorted(known - now), "size": len(now)}
            if now != known:
                view["full"] = sorted(now)
            made.append({**view, "expires_ns": ns(at_s + every_s)})
            at_s, known = at_s + every_s, now
    return made


def _requests(count: int, end_s: float, struck: dict[str, float], rng: Random) -> list[dict[str, object]]:
    """Evenly due; what meets a dead instance is refused and tried again on a living one."""
    made: list[dict[str, object]] = []
    for number in range(count):
        due_ns = START_NS + int((number + 0.5) / count * (end_s - 0.1) * S)
        sent_ns = due_ns + rng.randrange(20_000, 400_000)
        done_ns = sent_ns + rng.randrange(400_000, 3_000_000)
        node = f"backend{rng.randrange(1, 9)}"
        request: dict[str, object] = {"t_ns": done_ns, "kind": "request", "client": 1 + number % CLIENTS}
        request |= {"due_ns": due_ns, "sent_ns": sent_ns, "node": node, "outcome": "ok"}
        died_s = struck.get(node)
        if died_s is not None and ns(died_s) < sent_ns < ns(died_s + 2.0):
            request |= {"node": "backend8", "tried": [[node, sent_ns, "refused"]], "last_sent_ns": sent_ns + 100_000}
        made.append(request)
    return made


def _account(requests: list[dict[str, object]], end_s: int) -> list[dict[str, object]]:
    seconds = [{"due": 0, "sent": 0, "done": 0} for _ in range(end_s + 1)]
    for request in requests:
        for name, key in (("due", "due_ns"), ("sent", "sent_ns"), ("done", "t_ns")):
            at_ns = request[key]
            assert isinstance(at_ns, int)
            seconds[(at_ns - START_NS) // S][name] += 1
    begin = {"t_ns": START_NS, "kind": "load.begin", "clients": CLIENTS, "rate_per_s": 0.0, "start_over_s": 1.0}
    end = {"t_ns": ns(end_s + 1.01), "kind": "load.end", **dict.fromkeys(("due", "sent", "done"), len(requests))}
    each = [
        {"t_ns": ns(i + 1), "kind": "load.second", "second": i, **second, "open": 0, "late_ms_p99": 0.4}
        for i, second in enumerate(seconds)
    ]
    return [begin, *each, end]


def measure(folder: Path) -> tuple[float, float]:
    """Seconds of json.loads on every line, and of judging them."""
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines()]
    begin = time.perf_counter()
    for line in lines:
        json.loads(line)
    loads_s = time.perf_counter() - begin
    del lines
    begin = time.perf_counter()
    result = judge_trial(History.read(folder.glob("*.jsonl")))
    judge_s = time.perf_counter() - begin
    assert result.valid == "yes", result.reasons
    assert len(result.changes) == 8 and len(result.samples) > 8 * CLIENTS
    return loads_s, judge_s


def main() -> None:
    """Make the trial, judge it some times, print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        events = make_trial(Path(name), options.events)
        rounds = [measure(Path(name)) for _ in range(options.rounds)]
    ratios = [judge_s / loads_s for loads_s, judge_s in rounds]
    print(
        json.dumps(
            {
                "ratio": round(median(ratios), 2),
                "goal": GOAL,
                "events": events,
                "json_loads_s": round(median(loads_s for loads_s, _ in rounds), 2),
                "judge_s": round(median(judge_s for _, judge_s in rounds), 2),
                "each": [round(ratio, 2) for ratio in ratios],
            }
        )
    )


if __name__ == "__main__":
    main()
