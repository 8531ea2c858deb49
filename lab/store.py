"""The run folder: everything a run leaves behind, and the only file that knows what its files are called.

    reports/<scenario>/<YYYYmmdd-HHMMSS>-<seed>/
        plan.json  result.json  report.html  terminal.txt  versions.json
        trials/001-dns/*.jsonl                          one trial's history, a file a writer
        stacks/dns/{compose.json, logs/NODE.log}        what ran
    reports/latest -> the run whose report was written last

Files are written beside their place and renamed into it, so a reader sees an old one or a new one, never half of one.
Fields are only ever added to these files; one written by a newer lab is refused by name.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from lab.errors import BadInput, LabError
from lab.history import History
from lab.result import Result

ROOT = Path("reports")
"""Where runs go unless told otherwise, below the working directory."""

_PLAN = "plan.json"
_RESULT = "result.json"
_REPORT = "report.html"
_TERMINAL = "terminal.txt"
_VERSIONS = "versions.json"
_TRIALS = "trials"
_STACKS = "stacks"
_LATEST = "latest"
_TRIAL_NAME = re.compile(r"(\d+)-(.+)")


class TrialFolder(NamedTuple):
    """One recorded trial: its number (from 1), its arm and where its history lies."""

    number: int
    arm: str
    path: Path


class RunFolder:
    """One run on disk. Make it with `create` or `open`."""

    def __init__(self, path: Path, root: Path | None = None) -> None:
        self.path = path
        self._root = root

    @classmethod
    def create(cls, scenario: str, seed: str | int, *, root: Path | None = None, out: Path | None = None) -> RunFolder:
        """Make a new, empty run folder: under a name of its own below `root` (default: reports/), or exactly `out`.

        A run at `out` leaves `latest` alone. Raises BadInput when `out` holds something already or cannot be written,
        LabError when the disk is full.
        """
        if out is not None:
            with _writing(out):
                out.mkdir(parents=True, exist_ok=True)
                if any(out.iterdir()):
                    raise BadInput("is not empty; name a new or an empty folder", f"--out {out}")
            return cls(out)
        root = ROOT if root is None else root
        parent = root / _slug(scenario)
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{_slug(str(seed))}"
        with _writing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            return cls(_make_unique(parent, name), root)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run folder: its path, a link to it such as reports/latest, or one of the files in it.

        Raises BadInput when there is none, and names the nearest one where it can.
        """
        with _reading(path):
            folder = path.parent if path.is_file() else path
            if not folder.exists():
                what = "the link points to nothing (that run was removed)" if folder.is_symlink() else "does not exist"
                raise BadInput(f"{what}; name a run folder, such as {ROOT / _LATEST}", str(path))
            if not (folder / _PLAN).is_file():
                latest = folder / _LATEST
                hint = f"did you mean {latest}?" if latest.exists() else f"name one, such as {ROOT / _LATEST}"
                raise BadInput(f"is not a run folder (it has no {_PLAN}); {hint}", str(path))
            return cls(folder.resolve())

    # what the engine asks for

    def trial(self, number: int, arm: str) -> Path:
        """The folder of a trial's history, made where it is missing."""
        return self._folder(Path(_TRIALS) / f"{number:03d}-{_slug(arm)}")

    def stack(self, arm: str) -> Path:
        """The folder for what an arm's containers were made from and what they logged, made where it is missing."""
        return self._folder(Path(_STACKS) / _slug(arm))

    # writing

    def write_plan(self, plan: Mapping[str, Any]) -> Path:
        """Write the plan; until then this is not yet a run folder for `open`."""
        return self._write_json(_PLAN, plan)

    def write_versions(self, versions: Mapping[str, Any]) -> Path:
        """Write the versions of everything that ran."""
        return self._write_json(_VERSIONS, versions)

    def write_result(self, result: Result) -> Path:
        """Write every number of the run."""
        return self._write_json(_RESULT, result.to_json())

    def write_terminal(self, text: str) -> Path:
        """Write what the terminal showed."""
        return self._write(_TERMINAL, text.encode())

    def write_report(self, html: str) -> Path:
        """Write the page, and let `latest` point here: whoever follows it finds a report."""
        written = self._write(_REPORT, html.encode())
        if self._root is not None:
            self._point_latest(self._root)
        return written

    # reading

    @property
    def report(self) -> Path:
        """Where the page is, or will be."""
        return self.path / _REPORT

    @property
    def shown(self) -> Path:
        """The page by the shortest name a person can open: reports/latest/report.html while that is this run."""
        if self._root is not None:
            latest = self._root / _LATEST
            with suppress(OSError):
                if latest.resolve() == self.path.resolve():
                    return latest / _REPORT
        return self.report

    def plan(self, newest: int = 1) -> dict[str, Any]:
        """The plan as JSON. Raises BadInput when it cannot be read or its schema is above `newest`."""
        data = self._read_json(_PLAN)
        schema = data.get("schema", 1)
        if isinstance(schema, int) and schema > newest:
            raise BadInput(f"written by a newer lab (schema {schema}); read it with that one", str(self.path / _PLAN))
        return data

    def versions(self) -> dict[str, Any]:
        """The versions as JSON; empty where the run ended before they were written."""
        return self._read_json(_VERSIONS) if (self.path / _VERSIONS).exists() else {}

    def result(self) -> Result:
        """The result. Raises BadInput when there is none, it cannot be read, or a newer lab wrote it."""
        data = self._read_json(_RESULT)
        try:
            return Result.from_json(data)
        except ValueError as error:
            raise BadInput(str(error), str(self.path / _RESULT)) from error
        except (TypeError, AttributeError, KeyError) as error:
            raise BadInput(
                f"is not a result ({error}); make it again with: lab report {self.path}", str(self.path / _RESULT)
            ) from error

    def trials(self) -> list[TrialFolder]:
        """The recorded trials in order of their number; those whose folder is empty are not recorded."""
        folder = self.path / _TRIALS
        with _reading(folder):
            names = sorted(folder.iterdir()) if folder.is_dir() else []
            found = ((_TRIAL_NAME.fullmatch(path.name), path) for path in names if path.is_dir())
            return sorted(
                TrialFolder(int(name[1]), name[2], path) for name, path in found if name and any(path.glob("*.jsonl"))
            )

    def history(self, trial: TrialFolder) -> History:
        """A trial's history, every writer merged. Raises BadInput that names the file and line that is not one."""
        with _reading(trial.path):
            try:
                return History.read(trial.path.glob("*.jsonl"))
            except ValueError as error:
                raise BadInput(str(error)) from error

    # inside

    def _folder(self, below: Path) -> Path:
        path = self.path / below
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)
        return path

    def _write_json(self, name: str, data: Mapping[str, Any]) -> Path:
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
        return self._write(name, orjson.dumps(data, option=options))

    def _write(self, name: str, content: bytes) -> Path:
        path = self.path / name
        beside = self.path / f".{name}.{os.getpid()}.tmp"
        with _writing(path):
            try:
                beside.write_bytes(content)
                beside.replace(path)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
        return path

    def _read_json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        with _reading(path):
            try:
                data = orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError as error:
                raise BadInput(f"is not JSON ({error}); the file was damaged", str(path)) from error
        if not isinstance(data, dict):
            raise BadInput("is not a JSON object; the file was damaged", str(path))
        return data

    def _point_latest(self, root: Path) -> None:
        latest = root / _LATEST
        beside = root / f".{_LATEST}.{os.getpid()}.tmp"
        try:
            beside.unlink(missing_ok=True)
            beside.symlink_to(os.path.relpath(self.path, root), target_is_directory=True)
            beside.replace(latest)
        except OSError:  # a disk without links: no `latest` is better than one that shows an older run
            for left in (beside, latest):
                with suppress(OSError):
                    left.unlink()


def _make_unique(parent: Path, name: str) -> Path:
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _slug(name: str) -> str:
    """A name as part of a file name: no separators, no leading dot, never empty."""
    return re.sub(r"[^\w.+-]+", "-", name).strip(".-")[:80] or "unnamed"


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabError(
                f"{path}: no space left on the disk; free some, or name another place with --out DIR"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            raise BadInput(
                f"cannot be written ({error.strerror}); name another place with --out DIR", str(path)
            ) from error
        raise LabError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        missing = error.filename or path
        raise BadInput("is missing: the run ended before it was written, or it was removed", str(missing)) from error
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror or error})", str(error.filename or path)) from error
