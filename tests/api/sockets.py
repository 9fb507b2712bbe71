"""A client's connection as the worker has it, and its far end."""

from __future__ import annotations

from typing import Any

import gevent.socket

from app.api.client_socket import ClientSocket


def client_pair() -> tuple[ClientSocket, Any]:
    """The socket that answers are written to, and the one the client reads from."""
    near: Any
    near, far = gevent.socket.socketpair()
    near.__class__ = ClientSocket
    return near, far


def read_all(far: Any) -> bytes:
    """What has come until the other side closes."""
    got = b""
    while piece := far.recv(1 << 20):
        got += piece
    return got
