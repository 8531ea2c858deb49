"""The sentences a judgement is given in."""

from __future__ import annotations

from lab.measures import BY_NAME


def quantity(value: float, unit: str) -> str:
    """ "4.31 s", "0.012 s", "38 attempts", "1 request", "9.5 attempts"."""
    if unit == "s":
        return f"{value:.3f} s" if 0 < abs(value) < 0.1 else f"{value:.2f} s"
    number = f"{value:.0f}" if float(value).is_integer() else f"{value:.2f}"
    return f"{number} {unit.removesuffix('s') if number == '1' else unit}"


def span(low: float, high: float, unit: str) -> str:
    """ "[4.12, 4.50]"."""
    return f"[{quantity(low, unit).split(' ')[0]}, {quantity(high, unit).split(' ')[0]}]"


def many(count: int, noun: str) -> str:
    """ "1 trial", "4 trials", "4 crashes"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}{'es' if noun.endswith(('s', 'sh', 'ch', 'x')) else 's'}"


def change_noun(kind: str) -> str:
    """What one change of a kind is called: "crash", "power loss", "return", "goodbye"."""
    return {"leaving": "goodbye", "down": "end"}.get(kind, kind.replace("_", " "))


def short(measure: str) -> str:
    """A measure's words without what comes before a colon: "dead but listed"."""
    return BY_NAME[measure].words.rpartition(": ")[2] if measure in BY_NAME else measure


def limit(bound_s: float, allowance_s: float) -> str:
    """ "the bound of 8.40 + 0.10 s"."""
    return f"the bound of {bound_s:.2f} + {allowance_s:.2f} s"


def and_more(sentences: list[str], most: int) -> list[str]:
    """The first so many, and how many are left out."""
    left = len(sentences) - most
    return sentences if left <= 0 else [*sentences[:most], f"... and {left} more like these"]
