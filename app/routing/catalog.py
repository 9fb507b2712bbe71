"""Which credentials serve a model: from the name a client says to a ``Route``.

Built once for each state of the configuration. What can be known beforehand is: a name that is
configured or listed by its provider costs one dictionary look-up. Names that only match a
provider's usual patterns are worked out when they are asked for, and remembered for a while.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from app.config.schema import Config
from app.credentials.credential import Credential
from app.errors import UnknownModel
from app.protocols.base import ModelInfo
from app.routing.names import Globs

_REMEMBERED = 1024
_LONGEST = 256
"""Characters of a name that is not in a list: it may be kept, logged and put into a URL."""


class Lists(Protocol):
    """The model lists that providers have told."""

    @property
    def version(self) -> int:
        """Changes with every change of a list."""
        ...

    def get(self, credential_id: str) -> tuple[ModelInfo, ...] | None:
        """What the provider lists for a credential; None while it has not been heard."""
        ...


class NoLists:
    """Nothing has been heard of any provider."""

    version = 0

    def get(self, credential_id: str) -> tuple[ModelInfo, ...] | None:
        """Nothing."""
        return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One credential that could serve a call, and what its upstream calls the model."""

    credential: Credential
    upstream_model: str


@dataclass(frozen=True, slots=True)
class Route:
    """What a model name resolves to.

    Attributes:
        alias: the name the client is served, limited and counted under.
        tiers: candidates of equal priority, the highest priority first; none is empty.
    """

    alias: str
    tiers: tuple[tuple[Candidate, ...], ...]
    candidates: tuple[Candidate, ...] = field(init=False)
    """All of them in the order of their priority."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(c for tier in self.tiers for c in tier))


class Catalog:
    """The models of one state of the configuration.

    Attributes:
        credentials: all credentials, in the order of the configuration.
    """

    def __init__(
        self, config: Config, credentials: Sequence[Credential], lists: Lists | None = None
    ) -> None:
        self.credentials = tuple(credentials)
        self._force_prefix = config.force_model_prefix
        self._lists: Lists = lists or NoLists()
        self._index = self._build()

    def resolve(self, name: str) -> Route:
        """Find the candidates for the model a client asks for.

        Raises:
            UnknownModel: no credential serves it.
        """
        index = self._fresh()
        route = index.routes.get(name) or index.guessed.get(name)
        return route or self._look_closer(index, name)

    def models(self) -> list[ModelInfo]:
        """Every name that can be listed, each once, sorted by name."""
        return list(self._fresh().infos)

    def of_protocol(self, protocol: str) -> tuple[Candidate, ...]:
        """The credentials that speak a protocol, for calls that name no model."""
        return self._fresh().by_protocol.get(protocol, ())

    def _look_closer(self, index: _Index, name: str) -> Route:
        if len(name) <= _LONGEST and name.isprintable():
            for spelling in _spellings(name):
                route = index.routes.get(spelling) or index.guess(spelling)
                if route is not None:
                    index.remember(name, route)
                    return route
        shown = name if len(name) <= _LONGEST else name[:_LONGEST] + "…"
        raise UnknownModel(f"no provider serves the model {shown!r}")

    def _fresh(self) -> _Index:
        index = self._index
        if index.version != self._lists.version:
            # Two may build it at once; both build the same, and either may stay.
            index = self._index = self._build()
        return index

    def _build(self) -> _Index:
        version = self._lists.version  # before the lists: a change meanwhile is seen next time
        shelves = [
            Shelf(credential, self._lists.get(credential.id), force_prefix=self._force_prefix)
            for credential in self.credentials
        ]
        return _Index(version, shelves)


class Shelf:
    """What one credential serves, under the names clients know."""

    def __init__(
        self,
        credential: Credential,
        listed: tuple[ModelInfo, ...] | None,
        *,
        force_prefix: bool,
    ) -> None:
        self.credential = credential
        self._prefix = f"{credential.prefix}/" if credential.prefix else ""
        self._plain = not (credential.prefix and force_prefix)
        self._excluded = Globs(credential.excluded_models, fold=True)
        self._owned_by = credential.provider.owned_by or credential.provider_name
        has_list = bool(credential.models) or listed is not None
        usual = () if credential.models else credential.provider.default_models
        self._usual = Globs(usual)
        self.guesses_count = not has_list
        """Whether a name that fits the usual patterns is as good as a listed one."""
        self.entries = dict(self._entries(listed or ()))
        """The client's name → what is listed of it, and the upstream's name."""

    def guess(self, name: str) -> str:
        """The upstream's name of a model that only fits the usual patterns; empty if none does."""
        if self._prefix and name.startswith(self._prefix):
            plain = name[len(self._prefix) :]
        elif self._plain or name == self.credential.prefix:
            plain = name
        else:
            return ""
        fits = self._usual.match(plain) and not self._excluded.match(plain)
        return plain if fits else ""

    def _entries(self, listed: Sequence[ModelInfo]) -> Iterator[tuple[str, tuple[ModelInfo, str]]]:
        for name, upstream, info in self._named(listed):
            if self._excluded.match(name) or self._excluded.match(upstream):
                continue
            info = replace(info, owned_by=self._owned_by)
            if self._plain or name == self.credential.prefix:
                yield name, (replace(info, id=name), upstream)
            if self._prefix:
                twin = self._prefix + name
                yield twin, (replace(info, id=twin), upstream)

    def _named(self, listed: Sequence[ModelInfo]) -> Iterator[tuple[str, str, ModelInfo]]:
        if self.credential.models:
            for name, upstream in self.credential.models.items():
                yield name, upstream, ModelInfo(id=name, owned_by="")
        else:
            for info in listed:
                yield info.id, info.id, info


class _Index:
    """What is known at one version of the lists."""

    def __init__(self, version: int, shelves: Sequence[Shelf]) -> None:
        self.version = version
        # Sorting is stable: within one priority the order of the configuration stays.
        self._shelves = sorted(shelves, key=lambda shelf: -shelf.credential.priority)
        infos: dict[str, ModelInfo] = {}
        for shelf in self._shelves:
            for name, (info, _) in shelf.entries.items():
                infos.setdefault(name, info)
        self.infos = tuple(infos[name] for name in sorted(infos))
        self.routes = {name: self._route(name) for name in infos}
        self.guessed: dict[str, Route] = {}
        self.by_protocol = self._by_protocol()

    def guess(self, name: str) -> Route | None:
        """The route of a name that no list holds, None if it fits no pattern either.

        Credentials that have told no list come first and alone; one whose list lacks the name
        is asked only when there is no other: its provider then says what is wrong.
        """
        for last_resort in (False, True):
            found = [
                Candidate(shelf.credential, upstream)
                for shelf in self._shelves
                if (last_resort or shelf.guesses_count) and (upstream := shelf.guess(name))
            ]
            if found:
                return Route(name, _tiers(found))
        return None

    def remember(self, name: str, route: Route) -> None:
        """Keep a route that took some looking; clients choose these names, so only so many."""
        if len(self.guessed) >= _REMEMBERED:
            self.guessed.clear()
        self.guessed[name] = route

    def _route(self, name: str) -> Route:
        found = []
        for shelf in self._shelves:
            if name in shelf.entries:
                found.append(Candidate(shelf.credential, shelf.entries[name][1]))
            elif shelf.guesses_count and (upstream := shelf.guess(name)):
                found.append(Candidate(shelf.credential, upstream))
        return Route(name, _tiers(found))

    def _by_protocol(self) -> dict[str, tuple[Candidate, ...]]:
        found: dict[str, list[Candidate]] = {}
        for shelf in self._shelves:
            for protocol in shelf.credential.provider.protocols(shelf.credential):
                found.setdefault(protocol, []).append(Candidate(shelf.credential, ""))
        return {protocol: tuple(candidates) for protocol, candidates in found.items()}


def _tiers(candidates: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    by_priority: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_priority.setdefault(candidate.credential.priority, []).append(candidate)
    return tuple(tuple(tier) for tier in by_priority.values())


def _spellings(name: str) -> Iterator[str]:
    """The name, and the same without what Gemini's clients put in front."""
    plain = name.strip()
    yield plain
    if plain.startswith("models/"):
        yield plain.removeprefix("models/")
