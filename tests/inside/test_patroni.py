"""Patroni's files and log lines, HAProxy's file and lines, and what the watcher makes of the leader key."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from lab.history import History, SharedRecorder
from lab.inside import haproxy
from lab.inside.database import patroni
from lab.inside.watcher import Watcher

SETTINGS = {
    "LAB_ZOOKEEPERS": "3",
    "LAB_TTL_S_PATRONI": "30",
    "LAB_LOOP_WAIT_S": "5",
    "LAB_RETRY_TIMEOUT_S": "6",
    "LAB_MAX_CONNECTIONS": "150",
    "LAB_COMMIT": "remote_apply",
}


def events(folder: Path, kind: str) -> list[dict[str, Any]]:
    history = History.read(folder.glob("*.jsonl"))
    return [
        {key: value for key, value in event.fields.items() if key not in ("seq", "kind")} for event in history.of(kind)
    ]


def test_files_of_a_fresh_node(tmp_path: Path) -> None:
    """patroni.yml names the node and every ZooKeeper; the cluster's settings lie in the data directory, readable."""
    data, config = tmp_path / "data", tmp_path / "patroni.yml"
    data.mkdir()
    patroni.prepare("postgres2", SETTINGS, data, config)
    written = orjson.loads(config.read_bytes())
    assert written["name"] == "postgres2"
    assert written["restapi"]["connect_address"] == "postgres2:8008"
    assert written["zookeeper"]["hosts"] == ["zookeeper1:2181", "zookeeper2:2181", "zookeeper3:2181"]
    assert written["postgresql"]["data_dir"] == str(data)
    dynamic = orjson.loads((data / "patroni.dynamic.json").read_bytes())
    assert (dynamic["ttl"], dynamic["loop_wait"], dynamic["retry_timeout"]) == (30, 5, 6)
    assert dynamic["postgresql"]["use_pg_rewind"] is True
    assert dynamic["postgresql"]["parameters"]["max_connections"] == 150
    assert dynamic["postgresql"]["parameters"]["synchronous_commit"] == "remote_apply"
    assert (data / "lab.conf").exists()


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        ({}, False),
        ({"LAB_REPLICATION": "async", "LAB_SYNC_METHOD": "first"}, False),
        ({"LAB_REPLICATION": "sync", "LAB_SYNC_METHOD": "first"}, True),
        ({"LAB_REPLICATION": "sync", "LAB_SYNC_METHOD": "any"}, "quorum"),
    ],
)
def test_replication_decides_the_synchronous_mode(settings: dict[str, str], mode: object) -> None:
    """FIRST n is Patroni's `true`, ANY n its quorum."""
    found = patroni.dynamic(settings | {"LAB_SYNC_STANDBYS": "2"})
    assert (found["synchronous_mode"], found["synchronous_node_count"]) == (mode, 2)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("INFO: promoted self to leader by acquiring session lock", "promoted"),
        ("INFO: demoting self because DCS is not accessible and I was a leader", "demoting"),
        ("INFO: Demoting self (graceful)", "demoting"),
        ("INFO: starting primary after failure", "restarting"),
        ("ERROR: failed to update leader lock", "lock_lost"),
    ],
)
def test_lines_and_their_own_stamps(text: str, what: str) -> None:
    """To the millisecond, in UTC."""
    assert patroni.parse(f"2026-11-26 04:10:15,504 {text}") == (what, 1_795_666_215_504_000_000)


def test_other_lines_say_nothing() -> None:
    """Its rounds, Postgres' own lines, and what is no line of a log."""
    assert patroni.parse("2026-11-26 04:10:15,504 INFO: no action. I am (postgres1), the leader with the lock") is None
    during = "2026-11-26 04:10:15,504 INFO: updated leader lock during starting primary after failure"
    assert patroni.parse(during) is None
    assert patroni.parse("2026-11-26 04:10:15.504 UTC [12] LOG:  received promote request") is None
    assert patroni.parse("server promoting") is None


def test_the_first_leader_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """All others do, until it leads."""
    leads = {"postgres1": False}
    monkeypatch.setattr(patroni, "leads", leads.__getitem__)
    assert patroni.its_turn("postgres1")
    assert not patroni.its_turn("postgres3")
    leads["postgres1"] = True
    assert patroni.its_turn("postgres3")


def test_haproxy_asks_every_patroni() -> None:
    """By address, with the settings' intervals in ms; sessions of who goes down are ended."""
    text = haproxy.configuration({"postgres1": "10.0.0.1", "postgres2": "10.0.0.2"}, {"LAB_PROXY_FAST_S": "0.25"})
    assert "  server postgres2 10.0.0.2:5432 check port 8008\n" in text
    assert "inter 1000ms fastinter 250ms downinter 250ms fall 2 rise 1 on-marked-down shutdown-sessions" in text
    assert "option httpchk OPTIONS /primary" in text


def test_a_server_that_changes_is_one_event(tmp_path: Path) -> None:
    """HAProxy tells it twice, and tells nothing of a server that is up from the beginning."""
    recorder = SharedRecorder(tmp_path, "haproxy")
    proxy = haproxy.Proxy(recorder, ["postgres1", "postgres2"])
    down = 'Server primary/postgres2 is DOWN, reason: Layer7 wrong status, code: 503, info: "x".\n'
    proxy.read([f"[WARNING]  (9) : {down}", down, "Connect from 10.0.0.9:1 to 10.0.0.8:5000 (primary/TCP)\n"])
    assert proxy.answer({"do": "status"}) == {"ok": True, "up": ["postgres1"]}
    proxy.read(["Server primary/postgres2 is UP, reason: Layer7 check passed, code: 200.\n"])
    recorder.close()
    assert [(event["node"], event["up"]) for event in events(tmp_path, "proxy.state")] == [
        ("postgres2", False),
        ("postgres2", True),
    ]


class FakeClient:
    """Only what the watcher asks of kazoo when it is made."""

    def add_listener(self, listener: object) -> None:
        pass


def test_the_leader_key_is_told_when_it_changes(tmp_path: Path) -> None:
    """Who holds it and by which session; a key that is gone is null, and so is a session taken anew a change."""
    recorder = SharedRecorder(tmp_path, "watcher")
    watcher = Watcher(FakeClient(), recorder)
    for value, session in ((None, 0), (b"postgres1", 1), (b"postgres1", 1), (None, 0), (b"postgres2", 2)):
        watcher.on_key(value, SimpleNamespace(ephemeralOwner=0x10000 + session) if value else None)
    recorder.close()
    told = [(event["leader"], event["session"]) for event in events(tmp_path, "leader.key")]
    assert told == [(None, None), ("postgres1", "0x10001"), (None, None), ("postgres2", "0x10002")]
    assert watcher.answer({"do": "status"}) == {"ok": True, "connected": False, "leader": "postgres2"}


def test_nobody_asks_patroni_for_its_cluster() -> None:
    """GET /cluster reads ZooKeeper and so prolongs the leader's session: asked before a fault, it moves the result."""
    lab = Path(patroni.__file__).parents[2]
    for path in lab.rglob("*.py"):
        assert '"/cluster' not in path.read_text(), path
    assert "/cluster" not in haproxy.configuration({"postgres1": "10.0.0.1"}, {})
