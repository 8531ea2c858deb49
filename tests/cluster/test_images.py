"""A tag stands for everything that goes into an image, and nothing else goes into it."""

from __future__ import annotations

import io
import re
import shutil
import socket
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import share as sharing
from lab.cluster import build, images
from lab.cluster.images import Draft, Image
from lab.errors import BadInput, ImageFailed
from lab.protocols import Fields

ROOT = Path(images.__file__).resolve().parents[2]


def ignore(_: Fields) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of what images are made from, to be edited."""
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("lab/inside", "compose/images"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    for file in ("__init__.py", "history.py", "clock.py"):
        shutil.copy(ROOT / "lab" / file, tmp_path / "lab" / file)
    monkeypatch.setattr(images, "PACKAGE", tmp_path / "lab")
    monkeypatch.setattr(sharing, "_PACKAGE", tmp_path / "lab")
    return tmp_path


def tags() -> dict[str, str]:
    return {name: images.reference(name) for name in images.RECIPES}


def changed(before: dict[str, str]) -> set[str]:
    after = tags()
    return {name for name, tag in before.items() if after[name] != tag}


def test_a_tag_is_stable(checkout: Path) -> None:
    """The same files give the same tag, wherever they lie and whenever they were touched."""
    before = tags()
    for path in checkout.rglob("*.py"):
        path.touch()
    (checkout / "lab/inside/__pycache__").mkdir()
    (checkout / "lab/inside/__pycache__/agent.cpython-313.pyc").write_bytes(b"x")
    assert tags() == before
    assert all(re.fullmatch(r"boring-lab/[a-z]+:[0-9a-f]{12}", tag) for tag in before.values())


@pytest.mark.parametrize(
    ("file", "which"),
    [
        ("lab/inside/__main__.py", {"inside", "database"}),
        ("lab/history.py", {"inside", "database"}),
        ("lab/inside/requirements.txt", {"python", "inside", "postgres", "database"}),
        ("compose/images/dns/dns-node", {"dns"}),
        ("compose/images/zookeeper/train", {"zookeeper"}),
        ("compose/images/base/Dockerfile", set(images.RECIPES)),
        ("lab/__init__.py", set()),
    ],
)
def test_a_tag_changes_with_the_inputs_and_with_the_parent(checkout: Path, file: str, which: set[str]) -> None:
    """An edited file changes the images that hold it and those built on them, and no other."""
    before = tags()
    with (checkout / file).open("a") as out:
        out.write("\n# edited\n")
    assert changed(before) == which


def test_a_new_file_changes_the_tag(checkout: Path) -> None:
    """A module that was added is part of the images that hold the lab's code."""
    before = tags()
    (checkout / "lab/inside/new.py").write_text("")
    assert changed(before) == {"inside", "database"}
    assert "lab/inside/new.py" in images.context_files("inside")


def test_a_context_holds_only_what_is_needed() -> None:
    """Of the lab's own code, containers get history, clock and inside; and no image gets another's files."""
    inside = images.context_files("inside")
    code = {path for path in inside if path.startswith("lab/") and not path.startswith("lab/inside/")}
    assert code == {"lab/__init__.py", "lab/history.py", "lab/clock.py"}
    assert inside["lab/__init__.py"] == b""
    assert all(path.endswith(".py") for path in inside if path != "Dockerfile")
    assert set(images.context_files("base")) == {"Dockerfile"}
    assert set(images.context_files("python")) == {"Dockerfile", "lab/inside/requirements.txt"}
    assert set(images.context_files("dns")) == {"Dockerfile", "dns-node"}
    assert set(images.context_files("toxiproxy")) == {"Dockerfile"}
    assert set(images.context_files("zookeeper")) == {"Dockerfile", "train", "train.cfg", "zookeeper-node"}


@pytest.mark.parametrize("name", images.RECIPES)
def test_an_image_names_no_host(name: str) -> None:
    """Where packages come from is the machine's affair: no address, no host and no path of this machine goes in."""
    for path, content in images.context_files(name).items():
        text = content.decode()
        for word in (socket.gethostname(), str(ROOT), str(Path.home())):
            assert not re.search(rf"(?<![\w/]){re.escape(word)}(?![\w/])", text), (path, word)
        if path == "Dockerfile" or path.endswith((".txt", ".cfg")):
            assert "://" not in text, path


@pytest.mark.parametrize("name", images.RECIPES)
def test_the_context_is_the_same_tar_every_time(name: str) -> None:
    """No owner, no time: the engine's cache sees the same files. Entry scripts can be run whatever the disk says."""
    context = images.draft(name).context()
    assert context == images.draft(name).context()
    with tarfile.open(fileobj=io.BytesIO(context)) as tar:
        for entry in tar:
            script = tar.extractfile(entry)
            assert script is not None
            assert (entry.uid, entry.gid, entry.mtime, entry.uname) == (0, 0, 0, "")
            assert entry.mode == (0o755 if script.read(2) == b"#!" else 0o644)


def test_certificates_go_along_and_change_no_tag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's certificates are there for pip, an empty file where none are set; the image stays the same one."""
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(variable, raising=False)
    without = images.draft("python")
    (tmp_path / "own.pem").write_bytes(b"certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "own.pem"))
    with_them = images.draft("python")
    assert without.files["ca-bundle.crt"] == b""
    assert with_them.files["ca-bundle.crt"] == b"certificate"
    assert without.reference == with_them.reference
    assert "ca-bundle.crt" not in images.draft("inside").files


def test_every_requirement_is_pinned() -> None:
    """An image built next year holds what it holds today."""
    text = (ROOT / "lab/inside/requirements.txt").read_text()
    wanted = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert wanted
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in wanted)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[str]], list[str]]:
    """An engine that has some images; the list it gives fills with what was built, in order."""

    def with_images(there: set[str]) -> list[str]:
        built: list[str] = []
        known = [Image(name, images.reference(name), name in there, 1) for name in images.RECIPES]
        monkeypatch.setattr(images, "status", lambda: known)

        def work(draft: Draft, fresh: bool, news: build.News, stop: object) -> None:
            built.append(draft.recipe.name)
            news.put(draft)

        monkeypatch.setattr(build, "_work", work)
        return built

    return with_images


def test_only_what_is_missing_is_built(engine: Callable[[set[str]], list[str]]) -> None:
    """Nothing is built twice; the parent of an image that is there is not needed."""
    built = engine({"inside", "base"})
    assert images.ensure(["inside"], ignore) == {"inside": images.reference("inside")}
    assert built == []
    images.ensure(["boring-lab/dns", "inside", "dns"], ignore)
    assert built == ["dns"]


def test_parents_come_first(engine: Callable[[set[str]], list[str]]) -> None:
    """From nothing every image is built once, after its parent."""
    built = engine(set())
    images.ensure(images.RECIPES, ignore)
    assert sorted(built) == sorted(images.RECIPES)
    for name, recipe in images.RECIPES.items():
        assert recipe.parent is None or built.index(recipe.parent) < built.index(name)


def test_what_few_stacks_need_waits_until_one_does(engine: Callable[[set[str]], list[str]]) -> None:
    """A Go compiler for a minute is nothing that `lab images` does unasked; by name, or for a stack, it is built."""
    built = engine({"base"})
    assert "toxiproxy" not in images.standard()
    assert {*images.standard(), "toxiproxy"} == set(images.RECIPES)
    images.ensure(["boring-lab/toxiproxy"], ignore)
    assert built == ["toxiproxy"]


def test_rebuild_takes_nothing_as_there(engine: Callable[[set[str]], list[str]]) -> None:
    """`lab images --rebuild` is how fresh packages get in."""
    built = engine(set(images.RECIPES))
    images.rebuild(["dns"], ignore)
    assert built == ["base", "dns"]


def test_an_unknown_image_is_bad_input() -> None:
    """The message names the images that there are."""
    with pytest.raises(BadInput, match=r"no image 'nginx'; there are: base, python, inside"):
        images.ensure(["nginx"], ignore)


def test_a_lost_dockerfile_is_told(checkout: Path) -> None:
    """An incomplete installation says which file is missing."""
    (checkout / "compose/images/dns/Dockerfile").unlink()
    with pytest.raises(ImageFailed, match=r"image dns: .*Dockerfile is missing"):
        images.reference("dns")
