"""The installed package does what the checkout does, from an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout installed into it; its dependencies are the tests' own."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("boring_lab-*.whl")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, str(folder / "site"), str(wheel)], check=True, capture_output=True)
    return folder / "site"


def lab(installed: Path, cwd: Path, *arguments: str) -> str:
    """What the installed command prints in a folder."""
    environment = os.environ | {"PYTHONPATH": str(installed), "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    command = [sys.executable, "-m", "lab.cli", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.mark.slow
def test_the_wheel_lists_and_plans_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """lab list, lab plan and lab bound work from the wheel alone, without an engine, and leave nothing behind."""
    where = "import lab.share; print(lab.share.share('compose'), lab.share.share('scenarios'))"
    environment = os.environ | {"PYTHONPATH": str(installed)}
    found = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert all(Path(path).is_relative_to(installed) for path in found.stdout.split()), found
    assert "backend_crash" in lab(installed, tmp_path, "list")
    assert lab(installed, tmp_path, "plan", "backend_crash", "--seed", "7").startswith(
        "backend_crash, seed 7: 8 trials"
    )
    assert "ttl_s (5)" in lab(installed, tmp_path, "bound", "backend_crash")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_wheel_carries_every_file(installed: Path) -> None:
    """compose/ and scenarios/ are there whole, with what images are built from."""
    for folder in ("compose", "scenarios"):
        ours = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        wanted = {path for path in ours if "__pycache__" not in path.parts}
        there = {path.relative_to(installed / "lab" / "_share") for path in (installed / "lab" / "_share").rglob("*")}
        assert wanted <= there
