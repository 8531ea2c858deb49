"""The parts of the controller: streaks of bad probes, choices, words, and the line to the management port."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from lab.clock import S
from lab.inside.controller.choice import best, standby_names
from lab.inside.controller.fence import NotFenced, fence
from lab.inside.controller.rules import Rules
from lab.inside.controller.streak import Streak
from lab.inside.sql import Failed, literal, why


def acts_after(rules: Rules, *oks: bool) -> list[float | None]:
    """When it acts, in seconds, after probes that end at 1, 2, 3... s."""
    streak = Streak(rules)
    found: list[float | None] = []
    for second, ok in enumerate(oks, 1):
        streak.take(ok, second * S)
        found.append(None if streak.acts_ns is None else streak.acts_ns / S)
    return found


def test_so_many_failures_in_a_row() -> None:
    """A good probe begins the count anew; more failures do not put the decision off."""
    rules = Rules(failures=3)
    assert acts_after(rules, False, False, True, False, False, False, False) == [None] * 5 + [6.0, 6.0]


def test_an_operator_acts_a_while_after_the_first_failure() -> None:
    """However many there are; a good probe sends him back."""
    rules = Rules(operator_s=5.0)
    assert acts_after(rules, False, False, True, False, False) == [6.0, 6.0, None, 9.0, 9.0]


def test_the_most_advanced_of_equals_the_lowest_number() -> None:
    """Numbers, not names: postgres10 comes after postgres9."""
    assert best({"postgres2": 10, "postgres3": 20}, "most_advanced") == "postgres3"
    assert best({"postgres10": 20, "postgres9": 20}, "most_advanced") == "postgres9"
    assert best({}, "most_advanced") is None


def test_the_first_has_what_it_has() -> None:
    """To show what it costs."""
    assert best({"postgres2": 10, "postgres3": 20}, "first") == "postgres2"


@pytest.mark.parametrize(
    ("method", "wanted", "left", "names"),
    [
        ("any", 1, ["postgres3", "postgres2"], ("ANY 1 (postgres2, postgres3)", 1)),
        ("first", 2, ["postgres3"], ("FIRST 1 (postgres3)", 1)),
        ("any", 1, [], ("", 0)),
    ],
)
def test_a_new_primary_waits_for_no_more_standbys_than_are_left(
    method: str, wanted: int, left: list[str], names: tuple[str, int]
) -> None:
    """None where none is left: else nothing would ever be acknowledged."""
    assert standby_names(method, wanted, left) == names


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('connection to server at "10.0.0.1", port 5432 failed: Connection refused\n', "refused"),
        ("connection failed: No route to host", "unreachable"),
        ("FATAL:  the database system is starting up", "starting"),
        ("consuming input failed: server closed the connection unexpectedly", "reset"),
        ('relation "x" does not exist\nLINE 1', 'relation "x" does not exist'),
    ],
)
def test_errors_have_a_word(text: str, word: str) -> None:
    """Where there is one; else their first line."""
    assert why(Failed(text)) == word


def test_literals_are_quoted() -> None:
    """A conninfo may hold quotes of its own."""
    assert literal("host='a b'") == "'host=''a b'''"


def fence_answered(answer: bytes) -> tuple[tuple[int, int], dict[str, Any]]:
    """What fence() makes of an answer, and what was asked of the management port."""
    asked: list[bytes] = []

    async def whole() -> tuple[int, int]:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await fence("127.0.0.1", "stop", ["10.0.0.9"], port=port)

    return asyncio.run(whole()), orjson.loads(asked[0])


def test_a_fence_is_a_line_each_way() -> None:
    """What it asks for, and the interval in which it took effect."""
    edge, asked = fence_answered(b'{"ok": true, "after_ns": 5, "before_ns": 7}\n')
    assert edge == (5, 7)
    assert asked == {"do": "fence", "how": "stop", "clients": ["10.0.0.9"]}


@pytest.mark.parametrize("answer", [b'{"ok": false, "error": "no such process"}\n', b"", b"what?\n"])
def test_a_fence_without_a_yes_is_none(answer: bytes) -> None:
    """An error, silence and nonsense all mean that the old primary may still take writes."""
    with pytest.raises(NotFenced):
        fence_answered(answer)
