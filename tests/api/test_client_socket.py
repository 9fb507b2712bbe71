from __future__ import annotations

import contextlib

import gevent
import gevent.socket
import pytest

from app.api.client_socket import ClientSocket
from tests.api.sockets import client_pair


def test_a_small_piece() -> None:
    client, far = client_pair()
    client.sendall(b"hello")
    assert far.recv(100) == b"hello"
    client.close()
    far.close()


def test_more_than_the_connection_takes_at_once() -> None:
    """The first send fills the buffer; the rest goes while others run."""
    client, far = client_pair()
    data = bytes(range(256)) * 8192
    sending = gevent.spawn(client.sendall, data)
    got = bytearray()
    while len(got) < len(data):
        got += far.recv(1 << 20)
    sending.get(timeout=10)
    assert got == data
    client.close()
    far.close()


def test_no_room_at_all() -> None:
    client, far = client_pair()
    with contextlib.suppress(BlockingIOError):
        while True:
            client._sock.send(bytes(65536))
    sending = gevent.spawn(client.sendall, b"last")
    gevent.sleep(0)
    assert not sending.ready()
    got = bytearray()
    while not got.endswith(b"last"):
        got += far.recv(1 << 20)
    sending.get(timeout=10)
    client.close()
    far.close()


def test_a_client_that_has_gone() -> None:
    client, far = client_pair()
    far.close()
    with pytest.raises(BrokenPipeError):
        client.sendall(b"hello")
    client.close()


def test_it_is_a_socket_like_any_other() -> None:
    client, far = client_pair()
    assert type(client) is ClientSocket
    assert isinstance(client, gevent.socket.socket)
    client.close()
    far.close()
