"""Credentials as providers see them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signer:
    secret: str = "made-up-key-0123456789"
    base_url: str = ""
    wire_api: str = ""
