"""Writes an answer to the client's socket, past the server's response object.

gunicorn checks each header with expressions, sends head and body apart and passes a streamed
event through five functions; for a small answer that costs as much as all of the gateway's own
work. Requests are still read by gunicorn alone. Where the socket is not one of our worker's (TLS,
another server, a test) the answer goes the usual WSGI way.
"""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

from gunicorn.workers.base_async import ALREADY_HANDLED

from app import clock
from app.api.client_socket import ClientSocket
from app.api.incoming import Environ
from app.gateway.exchange import Answer

HANDLED = ALREADY_HANDLED
"""What a WSGI application returns when it has written the answer itself."""

STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}
STATUS_LINES[499] = "499 Client Closed Request"
STATUS_LINES[529] = "529 Overloaded"

_SMALL = 64 * 1024


class _Date:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def text(self) -> str:
        second = int(clock.epoch_s())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text


_DATE = _Date()


def socket_of(environ: Environ) -> ClientSocket | None:
    """The client's socket, if it can be written to directly."""
    client = environ.get("gunicorn.socket")
    if type(client) is not ClientSocket or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        return None
    return client


def write(
    client: ClientSocket, environ: Environ, answer: Answer, headers: list[tuple[str, str]]
) -> None:
    """Send status, headers and body, then close the answer.

    Raises:
        OSError: the client went, or the answer was cut on purpose.
    """
    try:
        lines = [
            f"HTTP/1.1 {STATUS_LINES.get(answer.status) or answer.status}\r\n"
            f"Server: gunicorn\r\nDate: {_DATE.text()}\r\nConnection: {_connection(environ)}\r\n"
        ]
        is_sized = False
        for name, value in headers:
            if "\n" in value or "\r" in value:
                continue  # what would break out of its line is not sent at all
            if name == "Content-Length":
                is_sized = True
            lines.append(f"{name}: {value}\r\n")
        if is_sized:
            lines.append("\r\n")
            _write_sized(client, "".join(lines).encode("latin-1", "replace"), answer)
        else:
            lines.append("Transfer-Encoding: chunked\r\n\r\n")
            _write_chunked(client, "".join(lines).encode("latin-1", "replace"), answer)
    finally:
        answer.close()


def _connection(environ: Environ) -> str:
    source = environ["wsgi.input"]
    if getattr(source, "must_close", False) or getattr(source, "is_last", False):
        return "close"
    return "close" if "close" in str(environ.get("HTTP_CONNECTION", "")).lower() else "keep-alive"


def _write_sized(client: ClientSocket, head: bytes, answer: Answer) -> None:
    for piece in answer:
        if head and len(piece) <= _SMALL:
            client.sendall(head + piece)
        else:
            if head:
                client.sendall(head)
            client.sendall(piece)
        head = b""
    if head:
        client.sendall(head)


def _write_chunked(client: ClientSocket, head: bytes, answer: Answer) -> None:
    send = client._sock.send
    for piece in answer:
        if not piece:
            continue
        data = b"%b%x\r\n%b\r\n" % (head, len(piece), piece)
        head = b""
        try:
            sent = send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            client.sendall(data[sent:])
    client.sendall(head + b"0\r\n\r\n")
