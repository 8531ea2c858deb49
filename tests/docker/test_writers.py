"""The writers' pod against a real database: what each kind of answer, and of silence, is recorded as."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.clock import MS, S
from lab.cluster import DockerCluster
from lab.cluster.stack import PodStack
from lab.history import History
from lab.systems import Postgres
from lab.wait import wait_until

pytestmark = pytest.mark.docker

DATABASE = Postgres(standbys=1)
HANG = ("alter system set synchronous_standby_names = 'nobody'", "select pg_reload_conf()")
"""From now on every commit waits for a standby that does not exist."""
RELEASE = ("alter system reset synchronous_standby_names", "select pg_reload_conf()")
APP = "from pg_stat_activity where usename = 'app' and pid <> pg_backend_pid()"


class Bench:
    """postgres1 and the writers, commands to both, and what was recorded."""

    def __init__(self, stack: PodStack, cluster: DockerCluster, folder: Path) -> None:
        self.stack, self._cluster, self._folder = stack, cluster, folder
        self._names: tuple[str, ...] = ()

    def ask(self, **message: Any) -> dict[str, Any]:
        """One command to the writers."""
        told = self.stack.nodes["clients"].tell("ask", probe="control", message=message, timeout_s=20)
        answer: dict[str, Any] = told["answer"]
        return answer

    def sql(self, *statements: str, node: str = "postgres1") -> list[list[Any]]:
        """Statements as superuser; the rows of the last one."""
        rows: list[list[Any]] = []
        for query in statements:
            host = self.stack.nodes[node].address
            told = self.stack.nodes[node].tell(
                "ask", probe="sql", host=host, port=5432, user="postgres", database="lab", query=query, timeout_s=5
            )
            assert told["reached"], (query, told)
            rows = told["rows"]
        return rows

    def begin(self, *routes: dict[str, Any], **more: Any) -> None:
        """Begin a load of 100 writes a second on routes given by their settings; the label is `label`, or "a", "b"."""
        entries = [
            {"label": settings.pop("label", "ab"[place]), "kind": "multi_host", "settings": settings}
            for place, settings in enumerate(dict(route) for route in routes)
        ]
        message = {"trial": 1, "seed": "7", "repeat": 1, "rate_per_s": 100.0, "pool": 4, "start_over_s": 0.1}
        servers = ["postgres1", "postgres2"]
        assert self.ask(do="begin", **{**message, "routes": entries, "servers": servers, **more}) == {"ok": True}
        self._names = tuple(entry["label"] for entry in entries)

    def wait_for(self, what: Callable[[dict[str, Any]], bool], timeout_s: float = 20) -> dict[str, Any]:
        """The first status that is as wished."""
        seen: dict[str, Any] = {}

        def look() -> bool:
            seen.update(self.ask(do="status"))
            return what(seen)

        wait_until(look, timeout_s=timeout_s, message=lambda: f"last status: {seen}")
        return seen

    def wait_for_more(self, least: int = 20) -> None:
        """So many more writes of every route are acknowledged. (A streak does not end while nothing is decided.)"""
        before = {label: told["acknowledged"] for label, told in self.ask(do="status")["routes"].items()}
        self.wait_for(
            lambda status: all(
                told["acknowledged"] >= before[label] + least for label, told in status["routes"].items()
            )
        )

    def wait_for_streak(self, least: int = 30) -> None:
        """Every route has been writing well for a while."""
        self.wait_for(lambda status: all(told["streak"] >= least for told in status["routes"].values()))

    def end(self) -> History:
        """End the load and read what was recorded; the counts must add up."""
        totals = self.ask(do="end")
        self._cluster.collect(self.stack, self._folder)
        history = History.read(self._folder.glob("*.jsonl"))
        assert history.gaps == history.torn == 0
        writes, seconds = list(history.of("write")), list(history.of("load.second"))
        assert len(writes) == totals["done"] == totals["due"] == sum(s.fields["due"] for s in seconds)
        sent = [write for write in writes if write.fields["sent_ns"] is not None]
        assert len(sent) == totals["sent"] == sum(s.fields["sent"] for s in seconds)
        assert all(w.fields["due_ns"] <= w.fields["sent_ns"] <= w.t_ns for w in sent)
        for label in self._names:
            ids = sorted(w.fields["id"] for w in writes if w.fields["route"] == label)
            assert ids == list(range(1, len(ids) + 1)), "every intended write has its record"
        return history

    def rows(self, label: str = "a") -> tuple[set[int], int]:
        """The ids that the primary has, and how many of its rows are repetitions."""
        server = self.stack.nodes["postgres1"]
        told = server.tell("ask", probe="rows", host=server.address, port=5432, timeout_s=10)
        ids = {i for first, last in told["ranges"].get(label, ()) for i in range(first, last + 1)}
        return ids, sum(times - 1 for _, times in told["repeated"].get(label, ()))


@pytest.fixture(scope="module")
def stack(cluster: DockerCluster) -> PodStack:
    """postgres1 with one standby, and the writers."""
    return cluster.up("writers", [*DATABASE.compose_files, "writers.yaml"], DATABASE.environment)


@pytest.fixture
def bench(stack: PodStack, cluster: DockerCluster, tmp_path: Path) -> Iterator[Bench]:
    """A fresh database, and nothing recorded yet."""
    DATABASE.reset(stack)
    wait_until(lambda: not DATABASE.lacking(stack), timeout_s=30, message=lambda: str(DATABASE.lacking(stack)))
    for folder in ("before", "trial"):
        (tmp_path / folder).mkdir()
    cluster.collect(stack, tmp_path / "before")
    bench = Bench(stack, cluster, tmp_path / "trial")
    yield bench
    bench.ask(do="end")


def outcomes(history: History, label: str = "a") -> Counter[tuple[str, str]]:
    """How often each (outcome, why) on a route."""
    return Counter((w.fields["outcome"], w.fields["why"]) for w in history.of("write") if w.fields["route"] == label)


def acknowledged(history: History, label: str = "a") -> set[int]:
    """The ids that were acknowledged on a route."""
    return {w.fields["id"] for w in history.of("write") if w.fields["outcome"] == "ok" and w.fields["route"] == label}


def refused(history: History, label: str = "a") -> set[int]:
    """The ids that were certainly not written."""
    return {w.fields["id"] for w in history.of("write") if w.fields["outcome"] == "fail" and w.fields["route"] == label}


def test_every_route_gets_the_same_writes_and_each_says_where_it_is(bench: Bench) -> None:
    """Same due instants on two routes; node, timeline and position come from the server; readers have seen the rows."""
    bench.begin({}, {"hold": "reconnecting"}, rate_per_s=50.0)
    status = bench.wait_for(lambda status: all(told["acknowledged"] > 60 for told in status["routes"].values()))
    assert {told["node"] for told in status["routes"].values()} == {"postgres1"}
    history = bench.end()
    due = {label: [w.fields["due_ns"] for w in _by_id(history, label)] for label in "ab"}
    assert due["a"] == due["b"] == sorted(due["a"])
    for label in "ab":
        there, repeated = bench.rows(label)
        assert acknowledged(history, label) <= there and not refused(history, label) & there and not repeated
        read = [
            i
            for e in history.of("read")
            if e.fields["route"] == label
            for a, b in e.fields["ranges"]
            for i in range(a, b + 1)
        ]
        assert len(read) == len(set(read)) and set(read) <= there and len(read) > 40
    done = [w.fields for w in history.of("write") if w.fields["outcome"] == "ok"]
    assert {(w["node"], w["timeline"], w["warned"], w["attempt"]) for w in done} == {("postgres1", 1, False, 1)}
    assert all(w["lsn"] > 1 << 20 for w in done)


def _by_id(history: History, label: str) -> list[Any]:
    return sorted((w for w in history.of("write") if w.fields["route"] == label), key=lambda w: w.fields["id"])


def test_a_connection_that_dies_under_a_write_is_info_and_the_idle_ones_lose_nothing(bench: Bench) -> None:
    """All backends are killed again and again: whatever was on its way is in doubt, and nothing else is."""
    bench.begin({}, rate_per_s=200.0)
    bench.wait_for_streak()
    for _ in range(5):
        bench.sql(f"select pg_terminate_backend(pid) {APP}")
        bench.wait_for_streak(10)
    history = bench.end()
    found = outcomes(history)
    assert {outcome for outcome, _ in found} <= {"ok", "info", "fail"}
    assert {why for outcome, why in found if outcome == "info"} <= {"reset", "ended 57P01", "ended", "deadline"}
    there, repeated = bench.rows()
    assert acknowledged(history) <= there and not refused(history) & there and not repeated


def test_a_write_in_a_hanging_commit_that_is_killed_is_info_and_is_there(bench: Bench) -> None:
    """Killed while it waits for a standby: committed at the server, and nobody told the client."""
    bench.begin({"deadline_s": 30.0}, rate_per_s=20.0)
    bench.wait_for_streak(10)
    bench.sql(*HANG)
    wait_until(lambda: len(bench.sql(f"select 1 {APP} and wait_event = 'SyncRep'")) == 4, timeout_s=10)
    bench.sql(f"select pg_terminate_backend(pid) {APP}", *RELEASE)
    bench.wait_for_more()
    history = bench.end()
    broken = [w.fields for w in history.of("write") if w.fields["outcome"] == "info" and w.fields["why"] != "ended"]
    assert len(broken) == 4 and {w["id"] for w in broken} <= bench.rows()[0]
    assert outcomes(history)[("fail", "no_connection: refused")] == 0


def test_at_the_deadline_the_connection_is_closed_and_nobody_knows(bench: Bench) -> None:
    """Commits hang: info at the deadline; those that found no connection free were never sent."""
    bench.begin({"deadline_s": 0.5})
    bench.wait_for_streak()
    bench.sql(*HANG)
    bench.wait_for(lambda status: status["routes"]["a"]["streak"] == 0)
    bench.wait_for(lambda status: status["rate"]["done"] > 250)
    bench.sql(*RELEASE)
    bench.wait_for_streak()
    history = bench.end()
    closed = [w for w in history.of("write") if w.fields["why"] == "deadline"]
    assert len(closed) > 4 and {w.fields["outcome"] for w in closed} == {"info"}
    lasted_ns = [w.t_ns - w.fields["due_ns"] for w in closed]
    assert min(lasted_ns) >= 0.5 * S and statistics.median(lasted_ns) < 0.55 * S
    exhausted = [w.fields for w in history.of("write") if w.fields["why"] == "pool_exhausted"]
    assert exhausted and {(w["outcome"], w["sent_ns"], w["node"]) for w in exhausted} == {("fail", None, None)}
    assert not refused(history) & bench.rows()[0]


def test_a_cancel_turns_a_hanging_commit_into_an_acknowledgement_with_a_warning(bench: Bench) -> None:
    """The server says INSERT 0 1 and warns; the connection is kept. The row is there, whatever the standbys have."""
    bench.begin({"deadline_s": 0.4, "on_deadline": "cancel"})
    bench.wait_for_streak()
    before = {pid for (pid,) in bench.sql(f"select pid {APP}")}
    bench.sql(*HANG)
    bench.wait_for(lambda status: status["routes"]["a"]["streak"] == 0)
    bench.wait_for(lambda status: status["rate"]["done"] > 200)
    bench.sql(*RELEASE)
    bench.wait_for_streak()
    assert len(before & {pid for (pid,) in bench.sql(f"select pid {APP}")}) >= 4
    history = bench.end()
    warned = [w for w in history.of("write") if w.fields["warned"]]
    assert len(warned) > 4 and {w.fields["outcome"] for w in warned} == {"ok"}
    assert all(w.t_ns - w.fields["due_ns"] >= 0.4 * S for w in warned)
    assert acknowledged(history) <= bench.rows()[0] and not refused(history) & bench.rows()[0]


def test_who_waits_is_acknowledged_late_and_without_a_warning(bench: Bench) -> None:
    """Never given up: ok long after the deadline, which the time of the record shows."""
    bench.begin({"deadline_s": 0.3, "on_deadline": "wait"}, rate_per_s=20.0)
    bench.wait_for_streak(10)
    bench.sql(*HANG)
    bench.wait_for(lambda status: status["routes"]["a"]["streak"] == 0)
    wait_until(lambda: len(bench.sql(f"select 1 {APP} and wait_event = 'SyncRep'")) == 4, timeout_s=10)
    stuck_ns = bench.stack.nodes["clients"].tell("ping")["t_ns"]
    wait_until(lambda: bench.stack.nodes["clients"].tell("ping")["t_ns"] > stuck_ns + S, timeout_s=5)
    bench.sql(*RELEASE)
    bench.wait_for_more()
    history = bench.end()
    late = [w for w in history.of("write") if w.fields["outcome"] == "ok" and w.t_ns - w.fields["due_ns"] > S]
    assert len(late) == 4 and not any(w.fields["warned"] for w in late)


def test_a_statement_that_is_cancelled_before_its_commit_is_a_failure(bench: Bench) -> None:
    """The table is locked, so the INSERT itself waits: cancelled, certainly not done, and the connection lives on."""
    bench.begin({"deadline_s": 0.2, "on_deadline": "cancel"})
    bench.wait_for_streak()
    bench.sql("begin; lock table writes in exclusive mode; select pg_sleep(0.7); commit")
    bench.wait_for_streak()
    history = bench.end()
    assert outcomes(history)[("fail", "canceled")] >= 4
    there, _ = bench.rows()
    assert acknowledged(history) <= there and not refused(history) & there


def test_a_server_that_became_read_only_is_left_and_tried_again(bench: Bench) -> None:
    """Certainly not done, tried again while the deadline allows; nobody else takes writes, so it ends as a failure."""
    bench.begin({})
    bench.wait_for_streak()
    bench.sql("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
    bench.wait_for(lambda status: status["routes"]["a"]["streak"] == 0)
    bench.wait_for(lambda status: status["rate"]["done"] > 200)
    bench.sql("alter system reset default_transaction_read_only", "select pg_reload_conf()")
    bench.wait_for_streak()
    history = bench.end()
    found = outcomes(history)
    assert {key for key in found if key[0] == "info"} <= {("info", "ended")}
    assert found[("fail", "no_connection: read_only")] > 10
    tried = [w.fields for w in history.of("write") if w.fields["tried"] and w.fields["outcome"] == "ok"]
    assert all(w["tried"][0][3:] == ["fail", "read_only"] and w["attempt"] == len(w["tried"]) + 1 for w in tried)
    assert found[("fail", "read_only")] + len(tried) >= 1
    there, repeated = bench.rows()
    assert acknowledged(history) <= there and not refused(history) & there and not repeated


def test_tried_again_after_a_doubt_it_may_be_there_twice(bench: Bench) -> None:
    """Killed in a hanging commit and sent again: two rows of one id, one acknowledgement, both attempts recorded."""
    bench.begin({"deadline_s": 20.0, "retries": 1, "label": "a"}, rate_per_s=20.0)
    bench.wait_for_streak(10)
    bench.sql(*HANG)
    wait_until(lambda: len(bench.sql(f"select 1 {APP} and wait_event = 'SyncRep'")) == 4, timeout_s=10)
    bench.sql(*RELEASE[:1], f"select pg_terminate_backend(pid) {APP}", *RELEASE)
    bench.wait_for_more()
    history = bench.end()
    again = [w.fields for w in history.of("write") if w.fields["attempt"] == 2 and w.fields["outcome"] == "ok"]
    assert len(again) == 4
    assert all([(t[0], t[1], t[3]) for t in w["tried"]] == [(1, "postgres1", "info")] for w in again)
    assert bench.rows()[1] == 4


def test_the_planted_lie_is_found_out(bench: Bench) -> None:
    """Acknowledged before COMMIT: a kill takes back what was promised. With honest commits nothing is taken back."""
    bench.begin({"acknowledge": "statement"}, {})
    bench.wait_for_streak()
    bench.sql(f"select pg_terminate_backend(pid) {APP}")
    bench.wait_for_streak()
    history = bench.end()
    lies, _ = bench.rows("a")
    assert acknowledged(history, "a") - lies
    truths, _ = bench.rows("b")
    assert acknowledged(history, "b") <= truths


@pytest.mark.parametrize(("how", "slack_s"), [("reset", 0.25), ("drop", 1.5)])
def test_a_cut_path_is_an_outage_of_its_own_length(bench: Bench, how: str, slack_s: float) -> None:
    """With RST it comes out almost exactly, with silence up to TCP's next retransmission or connect later."""
    server, clients = bench.stack.nodes["postgres1"], bench.stack.nodes["clients"]
    bench.begin({}, rate_per_s=200.0)
    bench.wait_for_streak()
    cut = server.tell("cut", peers=[clients.address], ports=[5432], direction="both", how=how)
    wait_until(lambda: clients.tell("ping")["t_ns"] > cut["before_ns"] + 2 * S, timeout_s=5)
    healed = server.tell("uncut")
    bench.wait_for_streak(100)
    history = bench.end()
    after = [w for w in _by_id(history, "a") if w.fields["due_ns"] > cut["after_ns"] - 20 * MS]
    bad = [w for w in after if w.fields["outcome"] != "ok" or w.t_ns > w.fields["due_ns"] + S]
    first_good = min(w.t_ns for w in after if w.fields["outcome"] == "ok" and w.t_ns > healed["after_ns"])
    outage_s = (first_good - bad[0].fields["due_ns"]) / S
    cut_s = (healed["before_ns"] - cut["after_ns"]) / S
    assert cut_s - 0.06 <= outage_s <= cut_s + slack_s, (outage_s, cut_s)


def test_nonsense_is_refused_and_the_process_lives_on(bench: Bench) -> None:
    """With a sentence."""
    route = {"label": "a", "kind": "consul", "settings": {}}
    message = {"seed": "7", "repeat": 1, "rate_per_s": 1, "pool": 1, "servers": ["postgres1"]}
    assert "unknown route" in bench.ask(do="begin", **message, routes=[route])["error"]
    twice = [dict(route, kind="multi_host")] * 2
    assert "a label of its own" in bench.ask(do="begin", **message, routes=twice)["error"]
    strange = dict(route, kind="multi_host", settings={"hold": "tight"})
    assert "pooled, reconnecting" in bench.ask(do="begin", **message, routes=[strange])["error"]
    assert "one of begin, status, end" in bench.ask(do="dance")["error"]
    assert bench.ask(do="end") == {"ok": True, "due": 0, "sent": 0, "done": 0}
