"""Group commit: whoever saves waits, one greenlet writes for all of them.

    up      rows collect while a batch is being written, and are the next batch
    down    the database failed: rows go straight to the spool, and the database is asked
            again and again until it has taken all of them; only then is the state up again

Exactly one greenlet of a process writes. It is not the one that serves a request, so a client
that leaves, and whose greenlet is killed, takes no row with it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import gevent
from gevent.event import Event

from app.storage.sql.rows import Row
from app.storage.sql.spool import Spool
from app.storage.sql.store import Store

COMMIT_DEADLINE_S = 1.0
"""How long an answer may be held up by its row before the row goes to the spool."""

REPLAY_DEADLINE_S = 30.0
"""The same for spooled rows, which nobody waits for; a first migration has to fit in."""

RETRY_S = 1.0
ADOPT_EVERY_S = 15.0
CLOSE_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class _Batch:
    """Rows that go in one transaction, and the event that says they are safe."""

    __slots__ = ("rows", "safe")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.safe = Event()


class Writer:
    """Makes rows safe; see the module for how.

    Attributes:
        error: why the state is down, empty while it is up; holds no address and no secret.
    """

    def __init__(
        self,
        store: Store,
        spool: Spool,
        *,
        deadline_s: float = COMMIT_DEADLINE_S,
        retry_s: float = RETRY_S,
        adopt_every_s: float = ADOPT_EVERY_S,
    ) -> None:
        self._store = store
        self._spool = spool
        self._deadline_s = deadline_s
        self._retry_s = retry_s
        self._adopt_every_s = adopt_every_s
        self._open = _Batch()
        self._wake = Event()
        self._settled = Event()
        self._greenlet: gevent.Greenlet[[], None] | None = None
        self._orphans: Iterator[list[Row]] | None = None
        self._is_closed = False
        self.error = ""

    @property
    def waiting(self) -> int:
        """Rows of the batch that is still open."""
        return len(self._open.rows)

    def save(self, row: Row) -> None:
        """Return once the row is in the database or in the spool."""
        if self._greenlet is None or self._greenlet.dead:
            self.start()
        if self.error or self._is_closed:
            self._spool.append((row,))
            return
        batch = self._open
        batch.rows.append(row)
        self._wake.set()
        batch.safe.wait()

    def start(self) -> None:
        """Begin to look after the spool; ``save`` does so by itself."""
        is_running = self._greenlet is not None and not self._greenlet.dead
        if not is_running and not self._is_closed:
            self._greenlet = gevent.spawn(self._run)

    def settle(self, timeout_s: float | None = None) -> bool:
        """Wait until what dead processes left in the spool is written; False when it is not."""
        self.start()
        return bool(self._settled.wait(timeout_s))

    def close(self) -> None:
        """Make safe what waits, then stop; rows saved later go to the spool."""
        if self._is_closed:
            self._spool.close()
            return
        self._is_closed = True
        self._wake.set()
        if self._greenlet is not None:
            self._greenlet.join(CLOSE_TIMEOUT_S)
            self._greenlet.kill()
        self._spool_open_batch()
        self._spool.close()
        self._store.close()

    def _run(self) -> None:
        self._orphans = self._spool.orphans()
        while not (self._is_closed and not self._open.rows):
            if self.error:
                self._recover()
            elif self._open.rows:
                self._flush()
            elif not self._adopt():
                self._rest()

    def _rest(self) -> None:
        if not self._wake.wait(self._adopt_every_s):
            self._orphans = self._spool.orphans()
        self._wake.clear()

    def _flush(self) -> None:
        batch, self._open = self._open, _Batch()
        try:
            if self._write(batch.rows, self._deadline_s):
                return
            self._spool.append(batch.rows)
        except gevent.GreenletExit:
            # Stopped while it waited for the database; these rows are nobody else's. Whoever
            # writes next begins with them.
            self.error = "the writer was stopped"
            self._spool.append(batch.rows)
            raise
        finally:
            batch.safe.set()
        # Those that came while the database was silent have waited long enough too.
        self._spool_open_batch()

    def _spool_open_batch(self) -> None:
        batch, self._open = self._open, _Batch()
        if batch.rows:
            self._spool.append(batch.rows)
            batch.safe.set()

    def _write(self, rows: Sequence[Row], deadline_s: float) -> bool:
        """Write rows, or say why they cannot be written: ``error`` is then set."""
        try:
            self._store.write(rows, deadline_s)
        except Exception as error:  # noqa: BLE001 - whatever a driver raises, answers go on
            self._set_error(error)
            return False
        return True

    def _set_error(self, error: Exception) -> None:
        if not self.error:
            _log.error("usage records go to the spool error=%s", type(error).__name__)
            _log.debug("the database said: %s", error)
        self.error = f"the database cannot be written: {type(error).__name__}"

    def _adopt(self) -> bool:
        """Write some of what dead processes left; False when there is nothing more."""
        if self._orphans is None:
            return False
        rows = next(self._orphans, None)
        if rows is None:
            self._orphans = None
            self._settled.set()
        elif not self._write(rows, self._deadline_s):
            # Their segment is given up here, and found again once the database is back.
            self._orphans = None
        gevent.sleep(0)
        return True

    def _recover(self) -> None:
        """Try, after a rest, to write what is in the spool of this process."""
        self._wake.clear()
        if self._is_closed or self._wake.wait(self._retry_s):
            # It is time to go, and what waits is in the spool already.
            self._spool_open_batch()
            return
        if not self._can_write():
            return
        for rows in self._spool.own():
            if not self._replay(rows):
                return
            gevent.sleep(0)
        # Nothing yields between the spool's last look at its file and this line, so no row can
        # have gone there unseen, and an older row never overtakes a newer one of the same id.
        self.error = ""
        self._orphans = self._spool.orphans()
        _log.warning("usage records reach the database again")

    def _can_write(self) -> bool:
        return self._write((), REPLAY_DEADLINE_S)

    def _replay(self, rows: Sequence[Row]) -> bool:
        """Write spooled rows; one that the database will never take is dropped.

        Otherwise a single bad row would keep all others out for good.
        """
        if self._write(rows, REPLAY_DEADLINE_S):
            return True
        for row in rows:
            if not self._write((row,), REPLAY_DEADLINE_S):
                if not self._can_write():
                    return False
                self._spool.lose(1, f"the database refuses the row: {self.error}")
        return True
