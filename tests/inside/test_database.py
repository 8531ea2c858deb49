"""The database's supervisor, what of it needs no server: configuration, answers, log lines, the data directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.clock import MS, S
from lab.history import History, SharedRecorder
from lab.inside.database import lines, places, storage
from lab.inside.database.asked import Observed, lsn_of, read
from lab.inside.database.settings import Settings, lab_conf, primary_conninfo, read_settings, synchronous_standby_names
from lab.inside.database.watch import Watch

ADDRESSES = {"postgres1": "10.0.0.1", "postgres2": "10.0.0.2", "postgres3": "10.0.0.3"}


def settings(node: str = "postgres2", **given: Any) -> Settings:
    return Settings(node=node, addresses=ADDRESSES, **given)


def conf(text: str) -> dict[str, str]:
    pairs = (line.split(" = ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: value.strip("'") for name, value in pairs}


class TestConfiguration:
    def test_a_primary_names_every_other_server(self) -> None:
        """So that the setting is right on whichever server leads."""
        assert synchronous_standby_names(settings()) == ""
        sync = settings("postgres2", replication="sync", sync_standbys=2, sync_method="first")
        assert synchronous_standby_names(sync) == "FIRST 2 (postgres1, postgres3)"

    def test_a_primary_follows_nobody(self) -> None:
        """Without an upstream there is no primary_conninfo; what clients may and wait for is as the arm says."""
        told = conf(lab_conf(settings(commit="remote_apply", max_connections=60), None))
        assert "primary_conninfo" not in told
        assert (told["synchronous_commit"], told["max_connections"]) == ("remote_apply", "60")

    def test_only_replication_from_the_first_goes_through_the_link(self) -> None:
        """A standby that follows anybody else goes straight there."""
        linked = settings("postgres3", link="10.0.0.9")
        assert "host=10.0.0.9 port=15431" in primary_conninfo(linked, "postgres1")
        assert "host=10.0.0.2 port=5432" in primary_conninfo(linked, "postgres2")
        straight = conf(lab_conf(settings("postgres3"), "postgres1"))["primary_conninfo"]
        assert "host=10.0.0.1 port=5432" in straight and "application_name=postgres3" in straight

    def test_settings_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a pod by its name; by hand the own address tells which server this is."""
        monkeypatch.setattr("lab.inside.database.settings.numbered", lambda *_: dict(ADDRESSES))
        monkeypatch.setattr("lab.inside.database.settings.address_of", lambda _: "10.0.0.9")
        monkeypatch.setattr("lab.inside.database.settings.own_address", lambda: "10.0.0.3")
        by_hand = read_settings({})
        assert (by_hand.node, by_hand.link, by_hand.patroni) == ("postgres3", "", False)
        told = read_settings({"LAB_NODE": "postgres1", "LAB_LAG_MS": "0", "LAB_MANAGER": "patroni"})
        assert (told.node, told.link, told.patroni) == ("postgres1", "10.0.0.9", True)
        assert told.nodes["10.0.0.9"] == "postgres1"


class TestAnswers:
    def test_lsn(self) -> None:
        """Two hexadecimal halves are one number of bytes."""
        assert lsn_of(b"0/A90548") == 0xA90548
        assert lsn_of(b"2/10") == (2 << 32) + 16
        assert lsn_of(None) is None

    def test_a_primary(self) -> None:
        """Its timeline stands in the name of the segment that it writes."""
        row = [b"f", b"off", b"00000003000000000000000A", b"0/A90548", None, b"1streamingsync", None, None, None]
        seen = read(row, settings().nodes, 1, ("postgres1", "postgres3"), ("postgres3",))
        assert (seen.state, seen.timeline, seen.upstream, seen.sync) == ("primary", 3, None, ("postgres3",))

    def test_a_fenced_primary_is_read_only(self) -> None:
        """Out of recovery, but its sessions begin read-only."""
        row = [b"f", b"on", b"00000001000000000000000A", b"0/A90548", None, None, None, None, None]
        assert read(row, settings().nodes, 1, (), ()).state == "read_only"

    def test_a_standby(self) -> None:
        """It names its upstream by node, the link's too; without a receiver its timeline is the known one."""
        row = [b"t", b"off", None, b"0/10", b"0/20", None, b"streaming", b"2", b"10.0.0.9"]
        seen = read(row, settings(link="10.0.0.9").nodes, 1, (), ())
        assert seen == Observed("standby", 2, 16, 32, "postgres1", True)
        alone = read([b"t", b"off", None, b"0/10", None, None, None, None, None], settings().nodes, 1, (), ())
        assert (alone.timeline, alone.upstream, alone.receiving) == (1, None, False)


class TestLines:
    @pytest.mark.parametrize(
        ("text", "what"),
        [
            ("LOG:  received promote request", "promote_requested"),
            ("LOG:  database system is ready to accept connections", "ready"),
            ("LOG:  database system is ready to accept read-only connections", "ready_read_only"),
            ("LOG:  selected new timeline ID: 2", "timeline"),
            ("LOG:  started streaming WAL from primary at 0/A00000 on timeline 2", "streaming"),
            ('LOG:  standby "postgres2" is now a candidate for quorum synchronous standby', "standby_in_sync"),
            ('LOG:  parameter "default_transaction_read_only" changed to "on"', "parameter"),
            ("FATAL:  sorry, too many clients already", "fatal"),
            ("LOG:  checkpoint starting: time", ""),
        ],
    )
    def test_meaning(self, text: str, what: str) -> None:
        """Each message that a failover is made of has its word; all others have none."""
        line = lines.parse(f"2026-11-26 04:15:57.693 UTC [617] {text}")
        assert line is not None and line.what == what

    def test_stamp(self) -> None:
        """The line\'s own stamp counts; what is no first line of a message is none at all."""
        line = lines.parse("1970-01-01 00:01:02.345 UTC [617] LOG:  received promote request")
        assert line is not None and line.wall_ns == 62_345 * MS
        assert lines.parse("\tIs the server running on that host?") is None
        assert lines.parse("2026-11-26 04:15:57,693 INFO: no action") is None

    def test_what_repeats_is_told_once_a_second(self) -> None:
        """Clients that are refused again and again are one event, not a thousand."""
        now = [0]
        notable = lines.Notable(lambda: now[0])
        refused = lines.Line("FATAL", "the database system is starting up", 0, "fatal")
        told = []
        for now[0] in (0, S // 2, 3 * S):
            told.append(notable(refused))
        assert told == [True, False, True]
        assert not notable(lines.Line("LOG", "checkpoint starting", 0, ""))


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A baked data directory of three files, and places for the used one."""
    baked = tmp_path / "baked"
    (baked / "base" / "1").mkdir(parents=True)
    (baked / "empty").mkdir()
    for name in ("PG_VERSION", "base/1/2", "base/1/3"):
        (baked / name).write_text(name)
        os.utime(baked / name, (1_000_000_000, 1_000_000_000))
    for name, path in (("BAKED", baked), ("DATA", tmp_path / "data"), ("WIPED", tmp_path / "wiped")):
        monkeypatch.setattr(storage, name, path)
    monkeypatch.setattr(storage, "SOCKETS", tmp_path)
    monkeypatch.setattr(storage, "PRIVATE", tmp_path)
    monkeypatch.setattr(storage, "SHARED_MEMORY", tmp_path)
    yield tmp_path


def content(folder: Path) -> dict[str, str | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else None for path in folder.rglob("*")
    }


def test_a_used_data_directory_becomes_the_baked_one_again(folders: Path) -> None:
    """Changed, added, removed, and changed without another length: put back; the rest is not touched."""
    baked, data = folders / "baked", folders / "data"
    storage.unpack()
    assert content(data) == content(baked)
    untouched = (data / "base/1/3").stat()
    (data / "PG_VERSION").write_text("PG_VERSIOM")
    (data / "base/1/2").unlink()
    (data / "empty").rmdir()
    (data / "pg_wal" / "deep").mkdir(parents=True)
    (data / "pg_wal" / "deep" / "segment").write_text("new")
    (data / "standby.signal").write_text("")
    storage.remove()
    assert not data.exists()
    storage.unpack()
    assert content(data) == content(baked)
    assert (data / "base/1/3").stat().st_ctime_ns == untouched.st_ctime_ns
    storage.remove()  # and again from what was put back
    storage.unpack()
    assert content(data) == content(baked)


def test_an_unpacking_that_was_cut_short_leaves_nothing_to_start_from(folders: Path) -> None:
    """What was half written lies elsewhere, and is made whole the next time."""
    (folders / "wiped" / "base").mkdir(parents=True)
    (folders / "wiped" / "PG_VERSION").write_text("PG_")
    assert not storage.is_there()
    storage.unpack()
    assert storage.is_there() and content(folders / "data") == content(folders / "baked")


def test_what_a_killed_server_leaves_is_cleared(folders: Path) -> None:
    """Its pid may be another process's by now."""
    storage.unpack()
    left = [folders / "data" / "postmaster.pid", folders / ".s.PGSQL.5432.lock", folders / "PostgreSQL.123"]
    for file in left:
        file.write_text("1\n")
    storage.clear_locks()
    assert not any(file.exists() for file in left)


def test_a_change_lies_between_two_looks(tmp_path: Path) -> None:
    """An event for what changed or was not seen for a while, none for an LSN; after_ns: the look before was asked."""
    events = SharedRecorder(tmp_path, "database/postgres2")
    watch = Watch(settings(), events)
    asked = []
    for seen in (
        Observed("standby", 1, 10, upstream="postgres1", receiving=True),
        Observed("standby", 1, 20, upstream="postgres1", receiving=True),
        Observed("primary", 2, 30),
    ):
        asked.append(watch.answered_ns + 1)
        watch._take(seen, asked[-1])
    late_ns = asked[-1] + S
    watch._take(Observed("primary", 2, 40), late_ns)  # it was stopped meanwhile, and nothing has changed
    events.close()
    told = [event.fields for event in History.read(tmp_path.glob("*.jsonl")).of("database.state")]
    assert [(one["state"], one["timeline"], one["lsn"]) for one in told] == [
        ("standby", 1, 10),
        ("primary", 2, 30),
        ("primary", 2, 40),
    ]
    assert told[2]["after_ns"] == late_ns
    assert told[1]["after_ns"] == asked[1] and told[1]["before_ns"] <= watch.answered_ns
    assert watch.await_up(0.0) and watch.now.state == "primary"


def test_the_baked_folder_is_where_the_image_puts_it() -> None:
    """Two files that must agree, and no test without an engine would see it otherwise."""
    bake = (Path(__file__).parents[2] / "compose/images/postgres/bake").read_text()
    assert f"DATA={places.BAKED}\n" in bake
