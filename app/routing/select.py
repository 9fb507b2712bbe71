"""In which order the candidates of a route are asked."""

from __future__ import annotations

from itertools import count

from app.routing.catalog import Candidate, Route

_REMEMBERED = 4096


class Rotation:
    """Round robin inside each priority, counted for each model alias in this process."""

    def __init__(self) -> None:
        self._turns: dict[str, count[int]] = {}

    def order(self, route: Route) -> list[Candidate]:
        """All candidates, higher priorities first; each call starts one further in each."""
        if len(route.candidates) == 1:
            return list(route.candidates)
        turns = self._turns.get(route.alias)
        if turns is None:
            turns = self._first(route.alias)
        turn = next(turns)  # one step of the interpreter: two greenlets never get the same
        ordered: list[Candidate] = []
        for tier in route.tiers:
            start = turn % len(tier)
            ordered += tier[start:]
            ordered += tier[:start]
        return ordered

    def _first(self, alias: str) -> count[int]:
        if len(self._turns) >= _REMEMBERED:  # clients choose the names; start over, nothing is lost
            self._turns.clear()
        return self._turns.setdefault(alias, count())
