"""The base image: a pull is tried, is never waited for in vain, and its refusal is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest
import requests
from docker.errors import ImageNotFound

from lab.cluster import debian
from lab.errors import ImageFailed


@contextmanager
def engine(answer: bytes | None) -> Iterator[docker.DockerClient]:
    """An engine without images that answers a pull with these bytes; None: it takes the question and stays silent."""
    with socket.create_server(("127.0.0.1", 0)) as listener, requests.Session() as session:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1 << 16)
                if answer is not None:
                    connection.sendall(answer)
                else:
                    connection.recv(1)  # until the other side gives up

        def get(_: str) -> None:
            raise ImageNotFound("none")

        server = threading.Thread(target=serve)
        server.start()
        api: Any = session
        api.base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield cast("docker.DockerClient", SimpleNamespace(api=api, images=SimpleNamespace(get=get)))
        server.join(10)
        assert not server.is_alive()


def http(status: str, *lines: str) -> bytes:
    body = "".join(f"{line}\r\n" for line in lines)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()


@pytest.fixture
def bootstrapped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills when mmdebstrap would have run."""
    runs: list[str] = []
    monkeypatch.setattr("shutil.which", lambda _: "/somewhere")
    monkeypatch.setattr(debian, "_bootstrap", lambda: runs.append("mmdebstrap"))
    return runs


def test_a_pull_that_works_is_used(bootstrapped: list[str]) -> None:
    """No bootstrap then."""
    with engine(http("200 OK", '{"status":"Pulling"}', '{"status":"Downloaded"}')) as client:
        debian.ensure(client)
    assert bootstrapped == []


@pytest.mark.parametrize(
    "answer",
    [
        http("500 Internal Server Error", '{"message":"no such host"}'),
        http("200 OK", '{"status":"Pulling"}', '{"error":"toomanyrequests"}'),
        http("200 OK", "<html>a proxy's page</html>"),
        b"",
    ],
)
def test_without_a_registry_it_is_made(bootstrapped: list[str], answer: bytes) -> None:
    """Whatever a registry, or what stands in its place, answers."""
    with engine(answer) as client:
        debian.ensure(client)
    assert bootstrapped == ["mmdebstrap"]


def test_a_silent_registry_is_given_up(bootstrapped: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull that says nothing for PULL_S (20 s) has failed."""
    monkeypatch.setattr(debian, "PULL_S", 0.05)
    with engine(None) as client:
        debian.ensure(client)
    assert bootstrapped == ["mmdebstrap"]


def test_without_either_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal, and the two commands that help."""
    monkeypatch.setattr("shutil.which", lambda _: None)
    with (
        engine(http("500 Oh", '{"message":"no such host"}')) as client,
        pytest.raises(ImageFailed, match=r"(?s)no such host.*apt-get install mmdebstrap.*docker load"),
    ):
        debian.ensure(client)
