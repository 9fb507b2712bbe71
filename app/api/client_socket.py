"""A client's connection whose usual send is one system call."""

from __future__ import annotations

import socket
from typing import Any

import gevent.socket
from typing_extensions import override


class ClientSocket(gevent.socket.socket):
    """What the worker makes of the connections it accepts.

    gevent asks the kernel for the size of the send buffer and starts a timer before each send;
    for the few hundred bytes of a streamed event that costs more than the send itself.
    """

    __slots__ = ()

    _sock: socket.socket

    @override
    def sendall(self, data: Any, flags: int = 0) -> None:
        try:
            sent = self._sock.send(data, flags)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            super().sendall(memoryview(data)[sent:], flags)
