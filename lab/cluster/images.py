"""The lab's own images: what each is built from, which tag that gives, which of them are there.

An image's tag is a hash of everything that goes into it and of its parent's tag: what is there under the right tag
is right, what is not is built, parents first. A context is made in memory and holds only the files named here.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from lab.errors import BadInput, EngineLost, ImageFailed
from lab.protocols import Progress
from lab.share import share

PREFIX = "boring-lab/"
PACKAGE = Path(__file__).resolve().parent.parent
BUNDLE = "ca-bundle.crt"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How an image is made: compose/images/NAME, and `code`: patterns below the package folder, put below lab/."""

    name: str
    parent: str | None
    most_s: int
    """How long the build takes at most on 2 cores, for the progress line."""
    code: tuple[str, ...] = ()
    bundle: bool = False
    """Whether its build downloads over TLS, and so needs the machine's certificates."""
    on_demand: bool = False
    """Whether it is left until a stack needs it: `lab images` without names does not build it."""


CODE = ("history.py", "clock.py", "inside/**/*.py")

RECIPES: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("base", None, 60),
        Recipe("python", "base", 120, code=("inside/requirements.txt",), bundle=True),
        Recipe("inside", "python", 10, code=CODE),
        Recipe("dns", "base", 60),
        Recipe("zookeeper", "base", 120),
        Recipe("postgres", "python", 180),
        Recipe("database", "postgres", 10, code=CODE),
        Recipe("toxiproxy", "base", 180, bundle=True, on_demand=True),
    )
}


@dataclass(frozen=True, slots=True)
class Draft:
    """An image about to be built: its full name, its parent's full name, and every file of its context."""

    recipe: Recipe
    reference: str
    parent: str | None
    files: Mapping[str, bytes]

    def context(self) -> bytes:
        """The context as a tar: same files, same bytes."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path, content in self.files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                # Not the file's own mode: a wheel loses it.
                entry.mode = 0o755 if content.startswith(b"#!") else 0o644
                tar.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Image:
    """An image as it should be, and whether the engine has it. `size_bytes` counts the layers of its parents too."""

    name: str
    reference: str
    present: bool
    size_bytes: int


def context_files(name: str) -> dict[str, bytes]:
    """What an image is built from, by path in the context. The machine's certificates are not among it."""
    recipe = _recipe(name)
    folder = share("compose") / "images" / name
    files = {path.relative_to(folder).as_posix(): path for path in _files(folder, "**/*")}
    for pattern in recipe.code:
        files |= {f"lab/{path.relative_to(PACKAGE).as_posix()}": path for path in _files(PACKAGE, pattern)}
    content = {inside: path.read_bytes() for inside, path in files.items()}
    if "lab/history.py" in content:
        content["lab/__init__.py"] = b""  # the real one imports what containers do not have
    if "Dockerfile" not in content:
        raise ImageFailed(f"image {name}: {folder}/Dockerfile is missing; is this checkout or package complete?")
    return dict(sorted(content.items()))


def draft(name: str) -> Draft:
    """The image as the files are now. Needs no engine."""
    recipe = _recipe(name)
    parent = draft(recipe.parent).reference if recipe.parent else None
    files = context_files(name)
    digest = hashlib.sha256((parent or "").encode())
    for path, content in files.items():
        digest.update(b"\0" + path.encode() + b"\0" + hashlib.sha256(content).digest())
    if recipe.bundle:
        files[BUNDLE] = _bundle()
    return Draft(recipe, f"{PREFIX}{name}:{digest.hexdigest()[:12]}", parent, files)


def reference(name: str) -> str:
    """The image's full name, `boring-lab/NAME:<hash of its inputs>`. Needs no engine."""
    return draft(name).reference


def standard() -> list[str]:
    """The images that `lab images` builds where none is named: all but those that few stacks need."""
    return [name for name, recipe in RECIPES.items() if not recipe.on_demand]


def ensure(names: Iterable[str], progress: Progress) -> dict[str, str]:
    """Build what is missing of these images and their parents; returns {name: full name with tag}.

    Reports {"what": "building", "image", "step", "of", "most_s"} from the calling thread. Raises ImageFailed with the
    last lines of the build, EngineMissing where no engine answers. Builds end with this process, even by SIGKILL.
    """
    return _build(names, progress, fresh=False)


def rebuild(names: Iterable[str], progress: Progress) -> dict[str, str]:
    """Build these images and their parents again from nothing: fresh packages under the same tags."""
    return _build(names, progress, fresh=True)


def status() -> list[Image]:
    """Every image of the lab, parents first, and whether the engine has it. Raises EngineMissing, EngineLost."""
    import requests
    from docker.errors import DockerException

    from lab.cluster.connection import connect

    try:
        with closing(connect(timeout_s=20)) as client:
            found = client.api.images(filters={"reference": f"{PREFIX}*"})
    except (DockerException, requests.RequestException) as error:
        raise EngineLost(f"the engine did not say which images it has: {error}") from error
    sizes = {tag: int(image["Size"]) for image in found for tag in image.get("RepoTags") or ()}
    return [
        Image(name, full, full in sizes, sizes.get(full, 0))
        for name, full in ((name, reference(name)) for name in RECIPES)
    ]


def save(file: Path) -> list[str]:
    """Write the images that are there into a tar that `load` reads on another machine; returns their full names."""
    present = [image.reference for image in status() if image.present]
    if not present:
        raise ImageFailed("no image is there to save; mend: `lab images` builds them")
    _docker("save", "-o", str(file), *present, *(full.rpartition(":")[0] + ":latest" for full in present))
    return present


def load(file: Path) -> list[str]:
    """Take in what `save` wrote; returns the images that are right for this code."""
    if not file.is_file():
        raise BadInput("no such file", str(file))
    _docker("load", "-q", "-i", str(file))
    return [image.reference for image in status() if image.present]


def _build(names: Iterable[str], progress: Progress, *, fresh: bool) -> dict[str, str]:
    # Every file is read here, once: what is edited during the build can not end up under a wrong tag.
    drafts = {name: draft(name) for name in (name.removeprefix(PREFIX) for name in names)}
    there = set() if fresh else {image.reference for image in status() if image.present}
    missing: dict[str, Draft] = {}
    for wanted in drafts.values():
        step: Draft | None = wanted
        while step is not None and step.reference not in there:  # an image that is there needs no parent
            missing.setdefault(step.recipe.name, step)
            step = draft(step.recipe.parent) if step.recipe.parent else None
    if missing:
        from lab.cluster.build import build

        build(list(missing.values()), progress, fresh=fresh)
    return {name: wanted.reference for name, wanted in drafts.items()}


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise BadInput(f"no image {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]


def _files(folder: Path, pattern: str) -> list[Path]:
    return [path for path in sorted(folder.glob(pattern)) if path.is_file() and "__pycache__" not in path.parts]


def _bundle() -> bytes:
    """The certificates that this machine was told to trust; empty where it was told nothing."""
    for variable in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        path = os.environ.get(variable)
        if path and Path(path).is_file():
            return Path(path).read_bytes()
    return b""


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ImageFailed(f"docker {arguments[0]} failed: {done.stderr.strip()}")
