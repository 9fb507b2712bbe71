"""gunicorn's gevent worker, which also lets idle connections go when it stops.

It parses nothing: requests are read by gunicorn's own code.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from typing import TYPE_CHECKING, Any, cast

import gevent
import gevent.monkey
import gevent.socket
from gunicorn.workers.ggevent import GeventWorker
from typing_extensions import override

from app import clock
from app.api.client_socket import ClientSocket

if TYPE_CHECKING:  # the master imports this module and must stay small
    from app.services import Services

GRACE_MARGIN_S = 5
"""By how much gunicorn's time for a stop is longer than the operator's."""

_LOOK_S = 0.1
_LINGER_S = 2.0
_LINGER_BYTES = 16 * 1024 * 1024


_NativeSocket = gevent.monkey.get_original("socket", "socket")


class GatewayWorker(GeventWorker):
    """Ends idle connections when it stops, so that a stop takes no longer than open answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: dict[int, Any] = {}
        self._busy: set[int] = set()

    @override
    def init_signals(self) -> None:
        super().init_signals()
        # The master passes SIGHUP on as SIGUSR1; gunicorn's own meaning of it (reopen the log
        # files) has no use here, since logs go to standard error.
        signal.signal(signal.SIGUSR1, self._reload)

    def _reload(self, number: int, frame: object) -> None:
        services: Services = cast(Any, self.wsgi).extensions["services"]
        gevent.spawn(services.reload)

    @override
    def run(self) -> None:
        watcher = gevent.spawn(self._let_idle_go)
        try:
            super().run()
        finally:
            watcher.kill(block=False)

    def _let_idle_go(self) -> None:
        while self.alive:
            gevent.sleep(_LOOK_S)
        # gunicorn's own time is longer: what is still open when ours is over must be written
        # down before the master kills.
        patience = clock.monotonic() + self.cfg.graceful_timeout - GRACE_MARGIN_S
        while True:
            is_over = clock.monotonic() >= patience
            for descriptor, client in list(self._connections.items()):
                if descriptor not in self._busy:
                    _shut(client, socket.SHUT_RD)
                elif is_over:
                    _shut(client, socket.SHUT_RDWR)
            gevent.sleep(_LOOK_S)

    @override
    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        descriptor = client.fileno()
        self._connections[descriptor] = client
        if type(client) is gevent.socket.socket:
            client.__class__ = ClientSocket
        try:
            super().handle(listener, client, addr)
        finally:
            self._connections.pop(descriptor, None)
            self._busy.discard(descriptor)

    @override
    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        descriptor = sock.fileno()
        self._busy.add(descriptor)
        body, own = req.body, req.should_close
        # The application asks for the end of the connection by a mark on the body it left unread.
        req.should_close = lambda: own() or body.is_last or body.must_close
        body.must_close = False
        body.is_last = not self.alive
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            self._busy.discard(descriptor)
            if body.must_close:
                _linger(sock)


def _linger(client: Any) -> None:
    """Take a little of a body nobody wants: closing at once would destroy the answer on its way.

    Clients send all of a request before they read.
    """
    silently: Any = False  # no exception when the time is over
    with contextlib.suppress(OSError), gevent.Timeout(_LINGER_S, silently):
        client.shutdown(socket.SHUT_WR)
        left = _LINGER_BYTES
        while left > 0 and (dropped := client.recv(65536)):
            left -= len(dropped)


def _shut(client: Any, how: int) -> None:
    """End a connection as its other side would: whoever reads it sees the end.

    gevent's own ``shutdown`` would raise in the greenlet that reads.
    """
    bare = _NativeSocket(fileno=client.fileno()) if client.fileno() >= 0 else None
    if bare is None:
        return
    try:
        bare.shutdown(how)
    except OSError:
        return
    finally:
        bare.detach()


def forward_reload(server: Any) -> None:
    """Make the master pass SIGHUP on instead of replacing its workers.

    Replacing them would cut every stream that is still open after the grace period.
    """

    def handle_hup() -> None:
        server.kill_workers(signal.SIGUSR1)

    server.handle_hup = handle_hup
