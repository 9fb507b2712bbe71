"""The operator's YAML to one frozen ``Config``."""

from __future__ import annotations

import hashlib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from app.config.build import Builder
from app.config.environment import override
from app.config.nodes import compose
from app.config.report import ConfigWarning, Report
from app.config.schema import EXAMPLE_KEYS, Config
from app.errors import ConfigError

__all__ = ["ConfigWarning", "Loaded", "load", "parse", "read"]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and what was said about it.

    ``digest`` is the SHA-256 of the file's bytes in hex.
    """

    config: Config
    warnings: tuple[ConfigWarning, ...]
    digest: str


def load(path: Path, environ: Mapping[str, str]) -> Loaded:
    """Read the configuration file; the environment overrides it.

    Raises:
        ConfigError: it cannot be used. Further errors are its notes, one text each.
    """
    return parse_bytes(read(path), str(path), environ)


def parse(text: str, file: str, environ: Mapping[str, str]) -> Loaded:
    """As ``load``, from text; ``file`` is the name for messages."""
    return parse_bytes(text.encode("utf-8", "surrogatepass"), file, environ)


def read(path: Path) -> bytes:
    """The bytes of the file.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ConfigError("does not exist", file=str(path)) from error
    except IsADirectoryError as error:
        message = "is a directory; a container runtime makes one when the file to mount is missing"
        raise ConfigError(message, file=str(path)) from error
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error


def parse_bytes(raw: bytes, file: str, environ: Mapping[str, str]) -> Loaded:
    """As ``load``, from the bytes of the file."""
    root = compose(_decode(raw, file), file)
    report = Report(file)
    builder = Builder(report, environ)
    config = builder.section(Config, root, "")
    builder.finish()
    report.raise_if_wrong()
    config = override(config, environ)
    config = _older_auth_dir(config, builder, environ)
    _check_tls(config, report, builder)
    report.raise_if_wrong()
    _warn_of_open_doors(config, report, builder)
    report.warnings.sort(key=lambda warning: warning.line or 0)
    return Loaded(config, tuple(report.warnings), hashlib.sha256(raw).hexdigest())


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text", file=file, line=line) from error


def _older_auth_dir(config: Config, builder: Builder, environ: Mapping[str, str]) -> Config:
    """Where no directory is named, take the one of the gateway that was here before."""
    home = environ.get("HOME", "")
    other = os.path.join(home, ".ai-proxy-api")
    named = "auth-dir" in builder.nodes
    if named or not home or os.path.isdir(config.auth_dir) or not os.path.isdir(other):
        return config
    return replace(config, auth_dir=other)


def _check_tls(config: Config, report: Report, builder: Builder) -> None:
    if not config.tls.enable:
        return
    for key, path in (("tls.cert", config.tls.cert), ("tls.key", config.tls.key)):
        node = builder.nodes.get(key, builder.nodes["tls.enable"])
        if not path:
            report.error("must name a PEM file when `tls.enable` is true", node, key)
        elif not os.path.isfile(path):
            report.error(f"must name a PEM file; there is none at {path!r}", node, key)
        elif not os.access(path, os.R_OK):
            report.error(f"names {path!r}, which this process may not read", node, key)


def _warn_of_open_doors(config: Config, report: Report, builder: Builder) -> None:
    node = builder.nodes.get("api-keys")
    if EXAMPLE_KEYS & set(config.api_keys):
        message = "holds a sample key; until it is replaced only this machine is served"
        report.warn(message, node, "api-keys")
    elif not config.api_keys and not _is_loopback(config.host):
        message = "is empty: everybody who can reach the gateway may call it"
        report.warn(message, node, "api-keys")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
