"""A newcomer's first configuration."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from app.config.bootstrap import banner, write_first_config
from app.config.load import load
from app.config.schema import Config, Tls
from app.errors import ConfigError


def test_it_works_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    keys = write_first_config(path)
    loaded = load(path, {})
    assert loaded.warnings == ()
    assert loaded.config.host == "127.0.0.1"
    assert loaded.config.port == 8317
    assert loaded.config.data_dir == "./data"
    assert loaded.config.api_keys == (keys.client_key,)
    assert loaded.config.remote_management.secret_key == keys.management_key
    assert loaded.config.remote_management.allow_remote is False


def test_its_keys_are_long_and_never_the_same(tmp_path: Path) -> None:
    one = write_first_config(tmp_path / "one.yaml")
    two = write_first_config(tmp_path / "two.yaml")
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{48}", one.client_key)
    assert re.fullmatch(r"mk-[A-Za-z0-9_-]{48}", one.management_key)
    assert len({one.client_key[3:], two.client_key[3:], one.management_key[3:]}) == 3
    assert one.client_key not in repr(one)
    assert one.management_key not in repr(one)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    before = os.umask(0)
    try:
        write_first_config(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_its_hints_load_when_they_are_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    write_first_config(path)
    path.write_text(re.sub(r"(?m)^# (?=[a-z-]+:$| +)", "", path.read_text()))
    names = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "MY_PROVIDER_KEY")
    config = load(path, dict.fromkeys(names, "k")).config
    assert [entry.api_key for entry in config.openai_api_key] == ["k"]
    assert [entry.api_key for entry in config.claude_api_key] == ["k"]
    assert [entry.api_key for entry in config.gemini_api_key] == ["k"]
    assert [entry.name for entry in config.openai_compatibility] == ["my-provider"]


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("port: 1\n")
    with pytest.raises(FileExistsError):
        write_first_config(path)
    assert path.read_text() == "port: 1\n"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_first_config(tmp_path / "nowhere" / "config.yaml")


def test_the_banner_holds_all_a_newcomer_needs(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    keys = write_first_config(path)
    text = banner(load(path, {}).config, keys, path)
    assert "http://127.0.0.1:8317" in text
    assert text.count(keys.client_key) == 2
    assert text.count(keys.management_key) == 1
    assert "curl http://127.0.0.1:8317/v1/chat/completions" in text
    assert f'"Authorization: Bearer {keys.client_key}"' in text
    assert '{"model": "demo-echo", "messages": [{"role": "user", "content": "Hello"}]}' in text


@pytest.mark.parametrize(
    ("config", "root"),
    [
        (Config(host="", port=80), "http://127.0.0.1:80/"),
        (Config(host="0.0.0.0"), "http://127.0.0.1:8317/"),
        (Config(host="::1"), "http://[::1]:8317/"),
        (Config(host="here", tls=Tls(enable=True)), "https://here:8317/"),
    ],
)
def test_the_banner_names_an_address_that_can_be_called(
    config: Config, root: str, tmp_path: Path
) -> None:
    keys = write_first_config(tmp_path / "config.yaml")
    assert f"curl {root}v1/chat/completions" in banner(config, keys, tmp_path)
