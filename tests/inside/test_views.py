"""What a client believes, and the events that tell it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lab import clock
from lab.history import History, Recorder
from lab.inside.pick import Instance
from lab.inside.views import ClientView, digest_of, in_groups


def of(*nodes: str) -> list[Instance]:
    """Instances of these nodes."""
    return [Instance(node, "10.0.0.1", 8080) for node in nodes]


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    """A writer whose file the tests read back."""
    with closing(Recorder(tmp_path, "clients")) as recorder:
        yield recorder


def view_of(recorder: Recorder, client: int = 1) -> ClientView:
    """An opened view."""
    view = ClientView(recorder, client, "shop", threading.Event())
    view.open()
    return view


def events(recorder: Recorder, *kinds: str) -> list[dict[str, Any]]:
    """What was recorded."""
    return [event.fields for event in History.read([recorder.path]).of(*kinds)]


def test_a_change_is_told_in_full_and_a_refresh_is_not(recorder: Recorder) -> None:
    """added, removed, size, digest always; full when it changed; expires_ns where the route knows it."""
    view = view_of(recorder)
    view.replace(of("b", "a"), expires_ns=5)
    view.replace(of("a", "b"), expires_ns=6)
    view.replace(of("b", "c"))
    first, refresh, changed = events(recorder, "view")
    assert (first["added"], first["removed"], first["full"], first["size"]) == (["a", "b"], [], ["a", "b"], 2)
    assert first["digest"] == digest_of(["b", "a"]) == refresh["digest"] != changed["digest"]
    assert "full" not in refresh and (refresh["added"], refresh["removed"], refresh["expires_ns"]) == ([], [], 6)
    assert (changed["added"], changed["removed"], changed["full"]) == (["c"], ["a"], ["b", "c"])
    assert "expires_ns" not in changed


def test_an_empty_first_view_is_a_view(recorder: Recorder) -> None:
    """Nobody there is something to know."""
    view_of(recorder).replace([])
    (first,) = events(recorder, "view")
    assert (first["size"], first["full"]) == (0, [])


def test_a_failed_refresh_leaves_nothing_to_trust_but_a_failed_push_keeps_the_view(recorder: Recorder) -> None:
    """After the expiry the view is empty; one that has not expired stays."""
    view = view_of(recorder)
    view.replace(of("a"))
    view.fail("session suspended")
    assert view.nodes == ("a",)
    view.unsettle()
    view.fail("dns: timeout")
    assert view.nodes == () and view.settled
    assert [event["why"] for event in events(recorder, "view.error")] == ["session suspended", "dns: timeout"]
    assert events(recorder, "view")[-1]["removed"] == ["a"]


def test_requests_wait_while_the_view_is_unsettled(recorder: Recorder) -> None:
    """Until the refresh comes, or their deadline."""
    view = view_of(recorder)
    assert not view.await_settled(clock.now_ns() + 5 * clock.MS)
    answers: list[bool] = []
    waiting = threading.Thread(target=lambda: answers.append(view.await_settled(clock.now_ns() + 10 * clock.S)))
    waiting.start()
    view.replace(of("a"))
    waiting.join(5)
    assert answers == [True]


def test_a_closed_view_records_nothing_more(recorder: Recorder) -> None:
    """Its route may still hear something; and closing twice is one event."""
    view = view_of(recorder)
    view.close()
    view.close()
    view.replace(of("a"))
    view.fail("late")
    assert [event["kind"] for event in events(recorder, "view.open", "view.closed", "view", "view.error")] == [
        "view.open",
        "view.closed",
    ]


def test_groups_say_who_believes_what_and_since_when(recorder: Recorder) -> None:
    """`since_ns` is the last one's arrival at these nodes, not its last refresh; the unborn are not counted."""
    first, second, third = (view_of(recorder, client) for client in (1, 2, 3))
    for view in (first, second):
        view.replace(of("a", "b"))
    came_ns = second.since_ns
    second.replace(of("b", "a"))
    unborn = ClientView(recorder, 4, "shop", threading.Event())
    groups = in_groups([first, second, third, unborn])
    assert [(group["nodes"], group["clients"]) for group in groups] == [(["a", "b"], 2), ([], 1)]
    assert groups[0]["since_ns"] == came_ns
