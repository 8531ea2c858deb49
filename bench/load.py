"""The load generator against plain Locust and against a bare gevent loop, in one container, as ratios.

    python bench/load.py [IMAGE] [--seconds 2] [--rounds 5]      prints JSON

The container gets two cores: what is measured runs on the first, the server on the second. Rounds alternate, and each
side's best round counts, for a neighbour on the machine can only make a round worse. Inside, this file runs itself.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

IMAGE = "boring-lab/inside"
PYTHON = "/opt/venv/bin/python3"
CONCURRENCY = 20
RATE_PER_S = 2000.0
CLIENTS = 30
URL = "http://127.0.0.1:8080"

# -- outside: one container ------------------------------------------------------------------------------------------


def measure(image: str = IMAGE, *, seconds: float = 2.0, rounds: int = 5) -> dict[str, Any]:
    """Both comparisons: {"requests": {...}, "lateness": {...}}, each with `ratio` and `goal`. Needs a Docker engine."""
    command = ["docker", "run", "--rm", "-i", "--network", "none", "--add-host", "backend1:127.0.0.1"]
    run = f"cat >/tmp/load.py && exec {PYTHON} /tmp/load.py inside --seconds {seconds} --rounds {rounds}"
    command += ["--cpuset-cpus", _two_cores(), "--label", "lab.bench=load", "--entrypoint", "sh", image, "-c", run]
    done = subprocess.run(command, input=Path(__file__).read_bytes(), stdout=subprocess.PIPE, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _two_cores() -> str:
    return ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:2])


# -- inside: a server, a registry, and one process a measurement -----------------------------------------------------


def inside(seconds: float, rounds: int) -> dict[str, Any]:
    """Run every measurement in a process of its own, in turn."""
    cores = sorted(os.sched_getaffinity(0))
    others = dict(os.environ, LAB_INSTANCES="1", LAB_NODE="backend1", LAB_ADDRESS="127.0.0.1", LAB_DELAYS_S="0")
    servers = [_start(["-m", "lab.inside", name], cores[-1], others) for name in ("service", "scripted")]
    try:
        time.sleep(1.0)

        def one(name: str, *arguments: float) -> dict[str, Any]:
            words = [__file__, name, *(str(argument) for argument in arguments)]
            process = _start(words, cores[0], os.environ, stdout=subprocess.PIPE)
            told: dict[str, Any] = json.loads(process.communicate(timeout=10 * seconds + 60)[0])
            return told

        requests, lateness = [], []
        for _ in range(rounds):
            theirs = one("locust", seconds)["per_s"]
            requests.append((one("ours", seconds, 1.5 * theirs)["per_s"], theirs))
            bare = one("bare", seconds)["p99_ms"]
            lateness.append((one("late", seconds)["p99_ms"], bare))
    finally:
        for server in servers:
            server.terminate()
    return {
        "requests": _compared("recorded requests/s against plain Locust's FastHttpUser", requests, max, ">= 0.9"),
        "lateness": _compared("lateness at 2,000 sends/s, p99 ms, against a bare gevent loop", lateness, min, "<= 1.5"),
    }


def _compared(what: str, pairs: list[tuple[float, float]], best: Any, goal: str) -> dict[str, Any]:
    ours, theirs = (best(side) for side in zip(*pairs, strict=True))
    middle = median(mine / other for mine, other in pairs)
    about = {"ours": ours, "theirs": theirs, "ratio_of_middle_round": round(middle, 3), "rounds": pairs}
    return {"what": what, "ratio": round(ours / theirs, 3), "goal": goal, **about}


def _start(words: list[str], core: int, environment: Any, **more: Any) -> subprocess.Popen[bytes]:
    def pin() -> None:
        os.sched_setaffinity(0, {core})

    return subprocess.Popen([sys.executable, *words], env=dict(environment), preexec_fn=pin, **more)


def locust(seconds: float) -> dict[str, Any]:
    """Requests per second of plain Locust: FastHttpUser without waiting, its own statistics."""
    import gevent
    from locust import FastHttpUser, constant, task
    from locust.env import Environment

    class Plain(FastHttpUser):  # type: ignore[misc]  # Locust's classes are Any to mypy
        host = URL
        wait_time = constant(0)

        @task  # type: ignore[untyped-decorator]
        def get(self) -> None:
            self.client.get("/")

    environment = Environment(user_classes=[Plain])
    runner = environment.create_local_runner()
    runner.start(CONCURRENCY, spawn_rate=CONCURRENCY)
    gevent.sleep(1.0)
    per_s = _rate(lambda: environment.stats.total.num_requests, seconds)
    runner.quit()
    return {"per_s": per_s}


def _rate(count: Callable[[], int], seconds: float) -> float:
    import gevent

    first, began = count(), time.perf_counter()
    gevent.sleep(seconds)
    return round((count() - first) / (time.perf_counter() - began), 1)


def _load(rate_per_s: float, clients: int, pool: int) -> Any:
    from lab.history import Recorder
    from lab.inside.clients import Clients

    recorder = Recorder(Path(tempfile.mkdtemp()), "clients", buffered=True)
    load = Clients(recorder)
    route = {"kind": "scripted", "settings": {"registry": "127.0.0.1"}}
    message = {"do": "begin", "seed": "7", "repeat": 1, "clients": clients, "rate_per_s": rate_per_s, "route": route}
    load.answer({**message, "pool": pool, "deadline_s": 60.0, "start_over_s": 0.1, "warm_up_s": 0.4})
    return load, recorder.path


def ours(seconds: float, rate_per_s: float) -> dict[str, Any]:
    """Requests per second that we record when more are due than can be sent: one open at a time for each client."""
    load, _ = _load(rate_per_s, CONCURRENCY, 1)
    import gevent

    gevent.sleep(1.0)
    per_s = _rate(lambda: load.answer({"do": "status"})["rate"]["done"], seconds)
    load.answer({"do": "end"})
    return {"per_s": per_s}


def late(seconds: float) -> dict[str, Any]:
    """How late requests are sent at 2,000/s."""
    load, path = _load(RATE_PER_S, CLIENTS, 8)
    import gevent
    import orjson

    gevent.sleep(1.0 + seconds)
    load.answer({"do": "end"})
    events = [orjson.loads(line) for line in path.read_bytes().splitlines()[1:]]
    requests = [event for event in events if event["kind"] == "request" and event["sent_ns"]]
    from_ns = requests[0]["t_ns"] + 500_000_000
    return _percentiles([each["sent_ns"] - each["due_ns"] for each in requests if each["due_ns"] > from_ns])


def bare(seconds: float) -> dict[str, Any]:
    """How late a gevent loop that does nothing else wakes at 2,000/s."""
    import gevent

    step_ns, now_ns = int(1e9 / RATE_PER_S), time.monotonic_ns
    late_ns, due_ns = [], now_ns()
    end_ns = due_ns + int(seconds * 1e9)
    while due_ns < end_ns:
        due_ns += step_ns
        while (left_ns := due_ns - now_ns()) > 0:
            gevent.sleep(left_ns / 1e9)
        late_ns.append(now_ns() - due_ns)
    return _percentiles(late_ns)


def _percentiles(late_ns: list[int]) -> dict[str, Any]:
    late_ns.sort()
    p50_ms, p99_ms = (round(late_ns[int(share * len(late_ns))] / 1e6, 3) for share in (0.5, 0.99))
    return {"p50_ms": p50_ms, "p99_ms": p99_ms, "n": len(late_ns)}


def main() -> None:
    """The command line, outside and inside."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("image", nargs="?", default=IMAGE)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    known: tuple[Callable[..., dict[str, Any]], ...] = (locust, ours, late, bare)
    measurements = {function.__name__: function for function in known}
    if len(sys.argv) > 1 and sys.argv[1] in measurements:
        print(json.dumps(measurements[sys.argv[1]](*map(float, sys.argv[2:]))))
        return
    chosen = parser.parse_args()
    run = inside(chosen.seconds, chosen.rounds) if chosen.image == "inside" else None
    print(json.dumps(run or measure(chosen.image, seconds=chosen.seconds, rounds=chosen.rounds)))


if __name__ == "__main__":
    main()
