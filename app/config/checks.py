"""What a text setting must look like, one function for each kind named in the schema.

Each takes the text without surrounding blanks and gives it back in its one normal spelling. It
raises ``Wrong`` with what would be right; the text itself never appears in the message of a kind
that may hold a secret.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit


class Wrong(ValueError):
    """The value cannot be used; the text says what would be right."""


class Unfit(ValueError):
    """The value is left out with a warning, which the text is."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a check may know of its surroundings: the environment, for ``~``."""

    environ: Mapping[str, str]


Check = Callable[[str, Place], str]

_HOST_NAME = re.compile(r"(?i)^(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?$")
_BCRYPT = re.compile(r"^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_HEADER_NAME = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")  # RFC 9110, 5.6.2 "token"

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
DIRECT = "direct"
"""What a credential's ``proxy-url`` says when the global proxy must not be used."""

PROTECTED_HEADERS = frozenset(
    {
        # they sign the call, and the gateway signs
        "authorization",
        "cookie",
        "proxy-authorization",
        "x-api-key",
        "x-goog-api-key",
        # they frame the message, and the gateway frames
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # bytes are metered as they come
        "accept-encoding",
    }
)


def has_control(text: str) -> bool:
    """Whether a line break or another control character is inside."""
    return _CONTROL.search(text) is not None


def _host(text: str, _place: Place) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare or _HOST_NAME.match(bare):
        return bare
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        raise Wrong(
            "must be an address or a host name such as 127.0.0.1, without scheme and port"
        ) from None
    return bare


def _network(text: str, _place: Place) -> str:
    try:
        return (
            str(ipaddress.ip_network(text, strict=False))
            if "/" in text
            else str(ipaddress.ip_address(text))
        )
    except ValueError:
        raise Wrong("must be an address or a network such as 10.0.0.0/8") from None


def _path(text: str, place: Place) -> str:
    home = place.environ.get("HOME", "")
    if home and (text == "~" or text.startswith("~/")):
        return home.rstrip("/") + text[1:]
    return os.path.expanduser(text)


def _url(text: str, _place: Place) -> str:
    if not text:
        return text
    example = "must be an http or https URL such as https://api.example.com/v1"
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises where it is no number
    except ValueError:
        raise Wrong(example) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or " " in text:
        raise Wrong(example)
    if parts.username is not None or parts.query or parts.fragment:
        raise Wrong(f"{example}, without user name, query and fragment")
    return text.rstrip("/")


def _proxy(text: str, _place: Place) -> str:
    if text.lower() in ("", DIRECT, "none"):
        return ""
    example = (
        "must be a URL of one of the schemes http, https, socks5 and socks5h, such as "
        "socks5://user:password@127.0.0.1:1080"
    )
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise Wrong(example) from None
    if parts.scheme not in PROXY_SCHEMES or not parts.hostname or " " in text:
        raise Wrong(f"{example}, or `direct`")
    return text.rstrip("/")


def _own_proxy(text: str, place: Place) -> str:
    return _proxy(text, place) or DIRECT


def _prefix(text: str, _place: Place) -> str:
    trimmed = text.strip("/ ")
    if "/" in trimmed:
        raise Unfit("holds a slash inside and is left out; write one word such as `team-a`")
    return trimmed


def _glob(text: str, _place: Place) -> str:
    return text.lower()


def _token(text: str, _place: Place) -> str:
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise Wrong("must be a key of visible ASCII characters, without blanks inside")
    return text


def _key(text: str, _place: Place) -> str:
    if re.match(r"\$2[aby]\$", text) and not _BCRYPT.match(text):
        raise Wrong(
            "begins like a bcrypt hash but is none (60 characters); "
            "`aiproxyapi hash-password` makes one"
        )
    return text


def _database_url(text: str, _place: Place) -> str:
    if not text:
        return text
    scheme, colon, rest = text.partition("://")
    match scheme.lower() if colon else "":
        case "sqlite" | "memory":  # memory:// keeps nothing, for trials
            return text
        case "postgres" | "postgresql" | "postgresql+psycopg":
            # the driver is named, or SQLAlchemy takes another one
            return f"postgresql+psycopg://{rest}"
        case _:
            raise Wrong(
                "must begin with sqlite:/// or postgresql://, "
                "such as postgresql://user:password@127.0.0.1/gateway"
            )


def header(name: str, value: str) -> tuple[str, str]:
    """One extra header as the operator wrote it.

    Raises:
        Wrong: it cannot be sent.
        Unfit: it can, and must not, or not by this version.
    """
    name = name.strip()
    if not name or not value:
        raise Unfit("is left out: it has no name or no value")
    if not _HEADER_NAME.match(name):
        raise Wrong("is no name of a header: letters, digits and -_. are allowed")
    if has_control(value) or not _is_latin(value):
        raise Wrong("must have a value without line breaks, control and non-Latin characters")
    if name.lower() in PROTECTED_HEADERS:
        raise Unfit("is left out: the gateway sets this header itself")
    if re.match(r"\$[A-Za-z]", value):
        raise Unfit("is left out: this version copies no header of the client")
    return name, value


def _is_latin(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


KINDS: Mapping[str, Check] = MappingProxyType(
    {
        "host": _host,
        "network": _network,
        "path": _path,
        "url": _url,
        "proxy": _proxy,
        "own-proxy": _own_proxy,
        "prefix": _prefix,
        "glob": _glob,
        "token": _token,
        "key": _key,
        "database-url": _database_url,
    }
)
"""``headers`` is missing here: it is no text but a mapping, see ``header``."""
