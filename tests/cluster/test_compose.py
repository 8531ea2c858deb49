"""Docker's words, in the lab's; and where compose files lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cluster.compose import Overlaps, explained, located
from lab.errors import BadInput, EngineLost, EngineMissing, LabError
from lab.share import share


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("x\nError response from daemon: Pool overlaps with other one on this\n", Overlaps, "Pool overlaps"),
        ("write /var/lib/docker/tmp/x: no space left on device", LabError, "no disk space left"),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", EngineLost, "stopped"),
        ("docker: 'compose' is not a docker command.", EngineMissing, "lab doctor"),
        ("docker: unknown command: docker compose", EngineMissing, "lab doctor"),
        ("Error response from daemon: No such image: boring-lab/x:1", LabError, "lab images"),
        ("services.web.ports must be a list", BadInput, "ports must be a list"),
        ("something new", LabError, "something new"),
        ("", LabError, "without a word"),
    ],
)
def test_errors_of_docker_are_told_in_clear_words(text: str, kind: type[LabError], says: str) -> None:
    """Each has the right kind, so the right exit code, and keeps Docker's own last line."""
    error = explained(text)
    assert type(error) is kind
    assert says in str(error)


def test_compose_files_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    """A name is below compose/, a path is itself, a missing file is bad input."""
    assert located("service.yaml") == share("compose") / "service.yaml"
    own = tmp_path / "own.yaml"
    own.write_text("")
    assert located(str(own)) == own
    with pytest.raises(BadInput, match=r"nonesuch\.yaml: no such compose file"):
        located("nonesuch.yaml")
