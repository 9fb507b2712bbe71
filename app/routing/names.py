"""Patterns of model names: ``*`` stands for any run of characters, all else for itself."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Globs:
    """A set of patterns that a name can be held against."""

    __slots__ = ("_expression",)

    def __init__(self, patterns: Sequence[str], *, fold: bool = False) -> None:
        """Compile the patterns; ``fold`` takes upper and lower case as the same."""
        written = [pattern.strip() for pattern in patterns if pattern.strip()]
        one = "|".join(f"(?:{_expression(pattern)})" for pattern in written)
        flags = re.DOTALL | (re.IGNORECASE if fold else 0)
        self._expression = re.compile(one, flags) if written else None

    def match(self, name: str) -> bool:
        """Whether some pattern fits the whole name."""
        return self._expression is not None and self._expression.fullmatch(name) is not None


def _expression(pattern: str) -> str:
    first, *rest = map(re.escape, re.split(r"\*+", pattern))
    if not rest:
        return first
    *middle, last = rest
    # What stands between two stars is best found at its first place and never looked for again:
    # atomic groups say so, and a hostile name cannot make the search go back and forth.
    return first + "".join(f"(?>.*?{piece})" for piece in middle) + ".*" + last
