"""Requests as a WSGI server hands them over."""

from __future__ import annotations

import io
from typing import Any

from app.api.incoming import Environ

CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


class Body(io.BytesIO):
    """A request's body that takes gunicorn's mark."""

    must_close = False
    is_last = False


def environ(
    method: str = "POST",
    path: str = "/v1/chat/completions",
    body: bytes = b"",
    *,
    query: str = "",
    length: str | None = None,
    **more: Any,
) -> Environ:
    """A request; its length is told unless ``length`` says another, or nothing with ""."""
    told = str(len(body)) if length is None else length
    return {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": Body(body),
        "wsgi.errors": io.StringIO(),
        **({"CONTENT_LENGTH": told} if told else {}),
        **more,
    }
