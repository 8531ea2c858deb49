"""The small pure parts of what runs in containers: answers, lists of instances, lateness, commands."""

from __future__ import annotations

import socket
from typing import Any

import orjson
import pytest

from lab.clock import MS, S
from lab.inside import control
from lab.inside.observer import changes
from lab.inside.registration import Instance, node_of
from lab.inside.service import Answers
from lab.inside.ticker import BUCKETS, Ticker, bucket


def test_the_service_says_who_it_is() -> None:
    """Node and incarnation, on a connection that stays open."""
    answer, close = Answers("backend3", 2).to(b"GET / HTTP/1.1\r\nHost: x")
    assert orjson.loads(answer.partition(b"\r\n\r\n")[2]) == {"node": "backend3", "incarnation": 2}
    assert not close


def test_a_draining_service_serves_and_says_so() -> None:
    """It still answers, asks for connections to end, and calls itself unhealthy."""
    answers = Answers("backend3", 1)
    answers.draining = True
    root, close = answers.to(b"GET / HTTP/1.1")
    assert root.startswith(b"HTTP/1.1 200") and b"Connection: close" in root and close
    health, _ = answers.to(b"GET /health HTTP/1.1")
    assert health.startswith(b"HTTP/1.1 503") and health.endswith(b"draining")


@pytest.mark.parametrize(
    ("head", "status", "close"),
    [
        (b"GET /health HTTP/1.1", b"200", False),
        (b"GET /health HTTP/1.0", b"200", True),
        (b"GET / HTTP/1.1\r\nConnection: close", b"200", True),
        (b"GET /x HTTP/1.1", b"404", False),
        (b"POST / HTTP/1.1\r\nContent-Length: 5", b"405", True),
    ],
)
def test_heads_are_read(head: bytes, status: bytes, close: bool) -> None:
    """HTTP/1.0 and `Connection: close` end the connection; so does what it cannot read to its end."""
    answer, closes = Answers("backend1", 1).to(head)
    assert (answer.split(b" ")[1], closes) == (status, close)


def test_registered_as_curator_reads_it() -> None:
    """All fields of ServiceInstance; the node can be had back from the ID."""
    instance = Instance("shop", "my-backend", 3, "10.0.0.7", 8080)
    found = orjson.loads(instance.as_curator())
    assert set(found) == {
        "name", "id", "address", "port", "sslPort", "payload", "registrationTimeUTC", "serviceType", "uriSpec",
    }  # fmt: skip
    assert (found["name"], found["id"], found["serviceType"]) == ("shop", "my-backend-3", "DYNAMIC")
    assert node_of(found["id"]) == "my-backend"


def test_the_observer_tells_arrivals_and_departures() -> None:
    """One entry an instance."""
    assert changes(frozenset({"a-1", "b-1"}), frozenset({"b-1", "c-1"})) == [("c", 1, True), ("a", 1, False)]


def test_a_node_is_gone_with_its_last_incarnation() -> None:
    """The new incarnation is news; the old one's end is none."""
    both, new = frozenset({"a-1", "a-2"}), frozenset({"a-2"})
    assert changes(frozenset({"a-1"}), both) == [("a", 2, True)]
    assert changes(both, new) == []
    assert changes(new, frozenset()) == [("a", 2, False)]


def test_buckets_double_every_second_one() -> None:
    """Bucket i counts what is below 0.1 ms * 2 ** (i / 2); the last one takes the rest."""
    for number in range(BUCKETS - 1):
        limit_ns = 0.1 * MS * 2 ** (number / 2)
        assert bucket(int(limit_ns) - 1) == number
        assert bucket(int(limit_ns) + 1) == number + 1
    assert bucket(3600 * S) == BUCKETS - 1


class Told:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def record(self, kind: str, t_ns: int | None = None, **fields: Any) -> None:
        self.events.append((kind, fields))


def test_a_late_tick_is_a_stall_and_is_not_made_up_for() -> None:
    """From the last tick that was in time to the late one, the process was blind; the next tick is on the old grid."""
    told, now = Told(), [0]
    ticker = Ticker(told, lambda: now[0])
    now[0] = 10 * MS
    assert ticker.tick() == pytest.approx(0.010)
    now[0] = 55 * MS
    assert ticker.tick() == pytest.approx(0.005)
    assert told.events == [("stall", {"after_ns": 10 * MS, "before_ns": 55 * MS, "late_ns": 35 * MS})]


def test_once_a_second_the_lateness_is_told() -> None:
    """As many ticks as there were, by bucket."""
    told, now = Told(), [0]
    ticker = Ticker(told, lambda: now[0])
    for _ in range(100):
        now[0] += 10 * MS
        ticker.tick()
    assert [kind for kind, _ in told.events] == ["lag"]
    assert told.events[0][1] == {"ticks": 100, "buckets": [100] + [0] * (BUCKETS - 1)}


def ask(line: bytes) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as asker:
        asker.connect("\0lab-control-test")
        asker.sendall(line)
        found: dict[str, Any] = orjson.loads(asker.makefile("rb").readline())
        return found


def test_a_bad_command_is_an_answer_and_the_socket_lives_on() -> None:
    """Neither bad JSON nor a command that fails ends the server."""
    control.serve(lambda message: {"ok": True, "did": message["do"]}, "\0lab-control-test")
    assert ask(b"nonsense\n")["ok"] is False
    assert ask(b"{}\n")["ok"] is False
    assert ask(b'{"do": "status"}\n') == {"ok": True, "did": "status"}
