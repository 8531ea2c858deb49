"""Child processes are on the janitor's list before they are anything else."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.cluster.children import Children


class Ledger:
    """A janitor's pipe whose other end the test reads."""

    def __init__(self) -> None:
        self.end, self.pipe = os.pipe()

    def tell(self, line: str) -> None:
        os.write(self.pipe, line.encode() + b"\n")

    def told(self) -> list[str]:
        os.close(self.pipe)
        with os.fdopen(self.end) as lines:
            return lines.read().splitlines()


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    yield Ledger()


def test_a_child_is_registered_and_struck_off(ledger: Ledger) -> None:
    """Its process group is told first by itself, then as gone; it does not hold the pipe."""
    done = Children(ledger).run(["sh", "-c", "echo $$; echo oops >&2; exit 3"], timeout_s=5)
    assert (done.code, done.err) == (3, "oops\n")
    group = done.out.strip()
    assert ledger.told() == [f"child {group}", f"child-gone {group}"]


def test_lines_come_while_it_runs(ledger: Ledger) -> None:
    """Progress lines are handed on one by one."""
    lines: list[str] = []
    Children(ledger).run(["sh", "-c", "echo one >&2; echo two >&2"], timeout_s=5, on_line=lines.append)
    assert lines == ["one", "two"]


def test_a_child_that_hangs_is_ended_with_its_group(ledger: Ledger) -> None:
    """Also when a grandchild holds its output open."""
    with pytest.raises(TimeoutError, match=r"did not end within 0\.2 s"):
        Children(ledger).run(["sh", "-c", "sleep 60 & sleep 60"], timeout_s=0.2)


def test_a_tool_that_is_not_there_is_said_so(ledger: Ledger) -> None:
    """As Python says it."""
    with pytest.raises(FileNotFoundError):
        Children(ledger).run(["no-such-tool"], timeout_s=5)


def test_a_child_does_not_hold_the_pipe(ledger: Ledger) -> None:
    """Otherwise a running `docker compose` would hide the lab's death from the janitor."""
    done = Children(ledger).run(["sh", "-c", "ls -l /proc/$$/fd"], timeout_s=5)
    assert os.readlink(f"/proc/self/fd/{ledger.pipe}") not in done.out  # noqa: PTH115
