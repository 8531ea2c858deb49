"""What faults that touch a link share: the proxies of its node, and how they come back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab.errors import BadInput
from lab.protocols import Fields, Node
from lab.wait import wait_until

ROLE = "link"
API_PORT = 8474
UP_S = 10.0
_SETTINGS = ("name", "listen", "upstream", "latency_ms")


def check_link(owner: str, nodes: Sequence[tuple[str, str]]) -> None:
    """Whether there is a link at all. Raises BadInput."""
    if all(role != ROLE for _, role in nodes):
        raise BadInput(f"{owner}: there is no link; write Postgres(lag_ms=...), 0 for one that is not slow")


def proxies(link: Node) -> list[Fields]:
    """The proxies as the node's agent takes them: [{name, listen, upstream, latency_ms}]."""
    return [{key: proxy[key] for key in _SETTINGS} for proxy in link.tell("toxics")["proxies"]]


def set_up(link: Node, wanted: Iterable[Fields]) -> None:
    """Bring every proxy to these settings; a server that has just started is waited for."""
    wait_until(lambda: _answers(link), timeout_s=UP_S, message=f"{link.name}: nobody answers on its API")
    for proxy in wanted:
        link.tell("toxic", **proxy)


def _answers(link: Node) -> bool:
    return bool(link.tell("ask", probe="tcp", host="127.0.0.1", port=API_PORT)["open"])
