from __future__ import annotations

import hashlib

from app.credentials.credential import Credential, credential_id, label_of
from app.providers import PROVIDERS


def test_an_id_is_made_of_kind_key_and_place() -> None:
    digest = hashlib.sha256(b"openai:apikey\0key\0https://h").hexdigest()
    assert credential_id("openai:apikey", "key", "https://h") == f"openai:apikey:{digest[:12]}"


def test_a_label_shows_the_name_or_a_masked_key() -> None:
    assert label_of("mine", "abcdefghijklmnopqrst") == "mine"
    assert label_of("", "abcdefghijklmnopqrst") == "abcd…qrst"
    assert label_of("", "") == "no key"


def test_the_key_is_not_shown() -> None:
    made = Credential("id", PROVIDERS["openai"], "openai", "the-secret-key", "https://h", "label")
    assert "the-secret-key" not in repr(made)
