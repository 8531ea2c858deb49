"""Where the files that come beside the code are: compose/ and scenarios/, in a checkout or in an installed wheel."""

from __future__ import annotations

from pathlib import Path

from lab.errors import LabError

_PACKAGE = Path(__file__).resolve().parent


def share(name: str) -> Path:
    """The folder `name` ("compose", "scenarios"): lab/_share/NAME of a wheel, else NAME beside lab/ in a checkout.

    Raises LabError where neither is there.
    """
    places = (_PACKAGE / "_share" / name, _PACKAGE.parent / name)
    for place in places:
        if place.is_dir():
            return place
    raise LabError(f"{name}/ is in neither {places[0].parent} nor {places[1].parent}: is this installation complete?")
