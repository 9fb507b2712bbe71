"""The model lists of providers, fetched in the background and kept in memory.

Only credentials without configured models need one. A list that cannot be fetched changes
nothing: the last one stays, and before the first the provider's usual names are served.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app import clock as system_clock
from app.credentials.credential import Credential
from app.errors import GatewayError
from app.protocols.base import ModelInfo

_log = logging.getLogger(__name__)

_AT_ONCE = 8
_PAGES = 20
_FIRST_RETRY_S = 30.0
_IDLE_S = 60.0
"""The longest rest of the loop, so that a change nobody told of is seen some time."""

_JITTER = 0.1

Fetch = Callable[[str, Mapping[str, str], str | None], bytes]
"""Gets one page: URL, headers, and the credential's proxy (None = the global one).

Raises ``UpstreamError`` when there is no answer or it is not a success.
"""


class Clock(Protocol):
    """Where the loop reads the time."""

    def monotonic(self) -> float: ...


@dataclass(frozen=True, slots=True)
class _Look:
    """The last look at one list.

    Attributes:
        at_s: monotonic time of it.
        luck: 0 to 1; spreads the looks of many workers and keys.
        failures: how many looks in a row have failed.
    """

    credential: Credential
    at_s: float
    luck: float
    failures: int = 0

    def due_s(self, interval_s: float) -> float:
        wait = interval_s
        if self.failures:
            wait = min(_FIRST_RETRY_S * 2.0 ** min(self.failures - 1, 30), interval_s)
        return self.at_s + wait * (1 - _JITTER + 2 * _JITTER * self.luck)


class LiveLists:
    """What providers list, by credential."""

    def __init__(
        self,
        fetch: Fetch,
        clock: Clock = system_clock,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._luck = luck
        self._lists: Mapping[str, tuple[ModelInfo, ...]] = {}
        self._looks: dict[str, _Look] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._stopped = False
        self._version = 0

    @property
    def version(self) -> int:
        """Changes whenever some list does."""
        return self._version

    def get(self, credential_id: str) -> tuple[ModelInfo, ...] | None:
        """The last list heard for a credential, None when there was none yet."""
        return self._lists.get(credential_id)

    def run(
        self, credentials: Callable[[], Sequence[Credential]], interval_s: Callable[[], float]
    ) -> None:
        """Keep the lists fresh until ``stop``; meant for a greenlet or thread of its own.

        Args:
            credentials: gives those now in force.
            interval_s: gives the seconds between two looks; 0 or less = never look.
        """
        while not self._stopped:
            self._woken.clear()
            self._woken.wait(self.refresh(credentials(), interval_s()))

    def wake(self) -> None:
        """Look at once for what is new, after the configuration has changed."""
        self._woken.set()

    def stop(self) -> None:
        """End ``run``."""
        self._stopped = True
        self._woken.set()

    def refresh(self, credentials: Iterable[Credential], interval_s: float) -> float:
        """Fetch every list that is due.

        Returns:
            Seconds until the next is.
        """
        if interval_s <= 0:
            return _IDLE_S
        wanted = [c for c in credentials if not c.models and c.provider.list_url(c)]
        self._forget(keep={credential.id for credential in wanted})
        now = self._clock.monotonic()
        self._look_all([c for c in wanted if self._due_s(c, interval_s) <= now])
        soonest = min((self._due_s(c, interval_s) for c in wanted), default=now + _IDLE_S)
        return min(max(soonest - self._clock.monotonic(), 0.1), _IDLE_S)

    def _due_s(self, credential: Credential, interval_s: float) -> float:
        look = self._looks.get(credential.id)
        if look is None or look.credential != credential:  # new, or with another proxy
            return float("-inf")
        return look.due_s(interval_s)

    def _look_all(self, due: Sequence[Credential]) -> None:
        for start in range(0, len(due), _AT_ONCE):
            # Daemons: a process that stops does not wait for a provider's list.
            threads = [
                threading.Thread(target=self._look, args=(credential,), daemon=True)
                for credential in due[start : start + _AT_ONCE]
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _look(self, credential: Credential) -> None:
        before = self._looks.get(credential.id)
        failures = before.failures if before is not None else 0
        try:
            models = self._read(credential)
        except Exception as error:  # noqa: BLE001 - whatever a list holds, the gateway goes on
            failures = self._note_failure(credential, failures, error)
        else:
            if failures:
                _log.info("model list is read again credential=%s", credential.id)
            failures = 0
            self._keep(credential, models)
        self._looks[credential.id] = _Look(
            credential, self._clock.monotonic(), self._luck(), failures
        )

    def _note_failure(self, credential: Credential, failures: int, error: Exception) -> int:
        if not failures:
            _log.warning(
                "model list not read credential=%s provider=%s error=%s reason=%s",
                credential.id,
                credential.provider_name,
                error.kind if isinstance(error, GatewayError) else type(error).__name__,
                error.message if isinstance(error, GatewayError) else "",
            )
        return failures + 1

    def _read(self, credential: Credential) -> tuple[ModelInfo, ...]:
        provider = credential.provider
        headers = _headers(credential)
        found: dict[str, ModelInfo] = {}
        url = provider.list_url(credential)
        for _ in range(_PAGES):
            page = self._fetch(url, headers, credential.proxy_url)
            for info in provider.read_models(page):
                found.setdefault(info.id, info)
            url = provider.next_list_url(url, page)
            if not url:
                break
        return tuple(found[name] for name in sorted(found))

    def _keep(self, credential: Credential, models: tuple[ModelInfo, ...]) -> None:
        with self._lock:
            if self._lists.get(credential.id) == models:
                return
            # A new mapping takes the old one's place: readers never see one half done.
            self._lists = {**self._lists, credential.id: models}
            self._version += 1

    def _forget(self, keep: set[str]) -> None:
        with self._lock:
            if self._looks.keys() <= keep and self._lists.keys() <= keep:
                return
            self._looks = {name: look for name, look in self._looks.items() if name in keep}
            self._lists = {name: models for name, models in self._lists.items() if name in keep}
            self._version += 1


def _headers(credential: Credential) -> dict[str, str]:
    """What signs a call, over the operator's headers, over what the provider needs at least.

    A configured value that stands for a client's header has nothing to stand for here.
    """
    own = {n.lower(): v for n, v in credential.headers.items() if not v.startswith("$")}
    provider = credential.provider
    return {**provider.default_headers, **own, **provider.headers(credential)}
