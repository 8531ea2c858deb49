"""The rules of the house that import-linter cannot see: short tests over the syntax trees of all files."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAB = ROOT / "lab"
MOST_LINES = 400

SLEEPS = {"lab/wait.py": "the only place that polls", "lab/clock.py": "sleeps until an instant"}
CHANCE = {
    "lab/plan.py": "every random choice of a run",
    "lab/commands.py": "the seed, where none is given",
    "lab/systems/dns.py": "a new TSIG key for every run",
    "lab/cluster/cluster.py": "the run's id",
    "lab/statistics.py": "the bootstrap, from a fixed seed",
}
"""Files outside lab/inside (whose generators are keyed by the plan's seed) that may draw, and what."""

OWNERS = {
    "docker": "lab/cluster/",
    "locust": "lab/inside/",
    "gevent": "lab/inside/",
    "geventhttpclient": "lab/inside/",
    "kazoo": "lab/inside/",
    "numpy": "lab/statistics.py",
    "scipy": "lab/statistics.py",
    "rich": "lab/report/",
    "jinja2": "lab/report/",
}
ALSO = {("lab/commands.py", "rich")}
"""Who opens the terminal that a report is shown in."""

RUN_FILES = {"plan.json", "result.json", "report.html", "versions.json", "terminal.txt"}
HOSTS = {"www.apache.org", "keepachangelog.com", "semver.org", "www.w3.org"}
"""What tracked files may link to; a registry or a mirror is never among them."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    return tuple(path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sources(*folders):
        yield name_of(path), tree_of(path)


@cache
def imported(path: str) -> frozenset[str]:
    return frozenset(imports(tree_of(ROOT / path)))


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that a file imports, inside functions too, as "a.b" (for `from a import b` both "a" and "a.b")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def tracked() -> list[Path]:
    """The files that git knows, or would; a tree without git has none to check."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [path for path in (ROOT / line for line in done.stdout.splitlines()) if path.is_file()]


def test_nobody_sleeps() -> None:
    """Only wait, clock and what runs in containers sleep: everybody else waits for something."""
    for name, tree in trees("lab"):
        if name in SLEEPS or name.startswith("lab/inside/"):
            continue
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            word = (
                called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            )
            assert word != "sleep", f"{name}:{called and called.lineno}: use lab.wait.wait_until"


def test_tests_do_not_sleep() -> None:
    """Tests wait for what they test, they do not hope that it has happened."""
    for name, tree in trees("tests"):
        assert "time.sleep" not in imported(name), name
        for node in ast.walk(tree):
            slept = isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) == "time"
            assert not slept, f"{name}:{getattr(node, 'lineno', 0)}: use lab.wait.wait_until"


def test_chance_has_its_places() -> None:
    """A run draws in the plan and, keyed by its seed, in containers; nowhere else."""
    for name in map(name_of, sources("lab")):
        if not name.startswith("lab/inside/") and {"random", "secrets", "uuid"} & imported(name):
            assert name in CHANCE, f"{name}: draw in lab/plan.py, or say in tests/test_house.py what is drawn"


@pytest.mark.parametrize("library", OWNERS)
def test_libraries_have_owners(library: str) -> None:
    """Each of the big libraries is imported in one place."""
    for name in map(name_of, sources("lab", "scenarios")):
        if library in {module.split(".")[0] for module in imported(name)} and (name, library) not in ALSO:
            assert name.startswith(OWNERS[library]), f"{name}: {library} belongs to {OWNERS[library]}"


def test_containers_get_little_of_the_lab() -> None:
    """lab.inside imports lab.history and lab.clock of the lab, and nothing else: nothing else is in its image."""
    for name in map(name_of, sources("lab/inside")):
        for module in imported(name):
            ours = module.startswith("lab.") and not module.startswith(("lab.inside", "lab.history", "lab.clock"))
            assert not ours, f"{name}: imports {module}"


def test_the_store_alone_knows_file_names() -> None:
    """No other file of the lab spells the name of a file of the run folder."""
    for name, tree in trees("lab"):
        if name == "lab/store.py":
            continue
        texts = {
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not texts & RUN_FILES, f"{name}: {texts & RUN_FILES} belongs to lab/store.py"


def test_files_are_short() -> None:
    """At most 400 lines."""
    for path in sources("lab", "tests", "scenarios", "bench"):
        lines = len(path.read_text().splitlines())
        assert lines <= MOST_LINES, f"{name_of(path)} has {lines} lines"


def test_names_say_what_is_in_them() -> None:
    """No drawer for odds and ends."""
    for path in sources("lab", "tests", "scenarios", "bench"):
        assert not re.search(r"util|helper|common|manager|misc", path.stem), name_of(path)


def test_every_module_and_test_says_what_it_is() -> None:
    """A docstring on every file with code, and a promise on every test."""
    for name, tree in trees("lab", "tests", "scenarios", "bench"):
        assert not tree.body or ast.get_docstring(tree), f"{name}: no docstring"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and name.startswith("tests/"):
                assert ast.get_docstring(node), f"{name}:{node.lineno}: {node.name} promises nothing"


def test_nothing_names_this_machine() -> None:
    """No path of a developer's machine, no registry and no mirror in any tracked file."""
    for path in tracked():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = re.search(r"(?:^|[^A-Za-z.\w])/(?:work|farm)/", text)
        assert found is None, f"{name_of(path)} names a path of this machine"
        for host in re.findall(r"https?://([A-Za-z0-9.-]+)", text):
            known = host in HOSTS or "." not in host or re.fullmatch(r"[\d.]+|.*\.(test|example|invalid)", host)
            assert known, f"{name_of(path)} names {host}"


def test_no_architecture_and_no_cgroup_path() -> None:
    """The lab runs where Docker runs."""
    for path in [*sources("lab"), *sorted((ROOT / "compose").rglob("*"))]:
        if path.is_file():
            assert not re.search(r"x86_64|amd64|aarch64|arm64|/sys/fs/cgroup", path.read_text()), name_of(path)


def test_every_kind_of_event_is_documented() -> None:
    """What is recorded stands in ARCHITECTURE.md, so that anybody's script can read a history."""
    documented = (ROOT / "ARCHITECTURE.md").read_text()
    for name, tree in trees("lab"):
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "record":
                continue
            kind = node.args[0] if node.args else None
            if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
                assert f"`{kind.value}`" in documented, f"{name}:{node.lineno}: {kind.value} is not in ARCHITECTURE.md"


def test_every_file_is_on_the_map() -> None:
    """ARCHITECTURE.md has a line for every file of the lab that is not one of many alike in a room."""
    documented = (ROOT / "ARCHITECTURE.md").read_text()
    for path in sources("lab"):
        name = path.relative_to(LAB).as_posix()
        if path.name != "__init__.py" and path.read_text().strip():
            assert f"`{name}`" in documented, f"{name} has no line in ARCHITECTURE.md"
