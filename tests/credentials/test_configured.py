from __future__ import annotations

import pytest

from app.config import schema
from app.config.schema import Compatible, Config, KeyEntry, Model, OpenAICredential
from app.credentials.configured import from_config
from app.credentials.credential import credential_id
from app.providers import PROVIDERS

KEY = "made-up-key-0123456789"


def test_each_kind_of_key_becomes_a_credential() -> None:
    config = Config(
        openai_api_key=(OpenAICredential(KEY, wire_api="chat"),),
        claude_api_key=(schema.Credential(KEY, name="mine"),),
        gemini_api_key=(schema.Credential(KEY),),
        codex_api_key=(schema.Credential(KEY, base_url="https://h/x"),),
        openai_compatibility=(
            Compatible("Groq", "https://h/v1", api_key_entries=(KeyEntry(KEY),)),
        ),
    )
    made = from_config(config)
    assert [(c.provider_name, c.provider, c.base_url) for c in made] == [
        ("openai", PROVIDERS["openai"], "https://api.openai.com/v1"),
        ("claude", PROVIDERS["claude"], "https://api.anthropic.com"),
        ("gemini", PROVIDERS["gemini"], "https://generativelanguage.googleapis.com"),
        ("codex", PROVIDERS["codex"], "https://h/x"),
        ("groq", PROVIDERS["openai-compatibility"], "https://h/v1"),
    ]
    assert [c.id for c in made] == [
        credential_id("openai:apikey", KEY, ""),
        credential_id("claude:apikey", KEY, ""),
        credential_id("gemini:apikey", KEY, ""),
        credential_id("codex:apikey", KEY, "https://h/x"),
        credential_id("groq:apikey", KEY, "https://h/v1"),
    ]
    assert [c.wire_api for c in made] == ["chat", "", "", "", "chat"]
    assert [c.label for c in made] == ["made…6789", "mine", *["made…6789"] * 3]
    assert all(c.secret == KEY and c.include_usage for c in made)


def test_every_setting_of_a_key_arrives() -> None:
    (made,) = from_config(
        Config(
            gemini_api_key=(
                schema.Credential(
                    KEY,
                    prefix="/team/",
                    proxy_url="direct",
                    headers={"X-Own ": "1"},
                    models=(Model("up", "alias"), Model("plain")),
                    excluded_models=("x*",),
                    priority=3,
                ),
            )
        )
    )
    assert made.prefix == "team"
    assert made.proxy_url == "direct"
    assert dict(made.headers) == {"x-own": "1"}
    assert dict(made.models) == {"alias": "up", "plain": "plain"}
    assert made.excluded_models == ("x*",)
    assert made.priority == 3


def test_each_key_of_a_block_is_a_credential() -> None:
    block = Compatible(
        "Block",
        "https://h/v1",
        prefix="a/b",
        headers={"x": "1"},
        api_key_entries=(KeyEntry("one"), KeyEntry("two", proxy_url="http://p.example.net")),
        models=(Model("up", "alias"),),
        excluded_models=("x*",),
        wire_api="responses",
        include_usage=False,
        priority=-2,
    )
    one, two = from_config(Config(openai_compatibility=(block,)))
    assert (one.secret, one.proxy_url) == ("one", None)
    assert (two.secret, two.proxy_url) == ("two", "http://p.example.net")
    assert one.id != two.id
    for made in (one, two):
        assert made.prefix == ""  # a slash inside is no namespace
        assert dict(made.headers) == {"x": "1"}
        assert dict(made.models) == {"alias": "up"}
        assert made.excluded_models == ("x*",)
        assert (made.wire_api, made.include_usage, made.priority) == ("responses", False, -2)


def test_a_block_without_keys_is_called_without_one() -> None:
    (made,) = from_config(Config(openai_compatibility=(Compatible("local", "http://h:1/v1"),)))
    assert (made.secret, made.label) == ("", "no key")
    assert made.provider.headers(made) == {}


def test_disabled_ones_are_left_out() -> None:
    config = Config(
        demo=False,
        openai_api_key=(OpenAICredential(KEY, disabled=True), OpenAICredential("")),
        openai_compatibility=(Compatible("b", "https://h", disabled=True),),
    )
    assert from_config(config) == ()


def test_what_has_no_address_is_left_out_and_told(caplog: pytest.LogCaptureFixture) -> None:
    config = Config(
        demo=False,
        codex_api_key=(schema.Credential(KEY),),
        openai_compatibility=(Compatible("Block", ""),),
    )
    assert from_config(config) == ()
    assert "kind=codex:apikey label=made…6789" in caplog.text
    assert "name=block" in caplog.text
    assert KEY not in caplog.text


def test_the_same_key_again_counts_once_but_with_another_use_it_gets_a_number() -> None:
    made = from_config(
        Config(
            openai_api_key=(
                OpenAICredential(KEY),
                OpenAICredential(KEY),
                OpenAICredential(KEY, proxy_url="direct"),
                OpenAICredential(KEY, prefix="team"),
            )
        )
    )
    first = credential_id("openai:apikey", KEY, "")
    assert [c.id for c in made] == [first, f"{first}-1", f"{first}-2"]
    assert [c.proxy_url for c in made] == [None, "direct", None]


def test_an_alias_used_twice_is_told(caplog: pytest.LogCaptureFixture) -> None:
    models = (Model("one", "a"), Model("two", "a"), Model("one", "a"))
    (made,) = from_config(Config(openai_api_key=(OpenAICredential(KEY, models=models),)))
    assert dict(made.models) == {"a": "one"}
    assert len(caplog.records) == 1
    assert "alias=a" in caplog.text


@pytest.mark.parametrize(
    ("demo", "keys", "ids"),
    [
        (None, (), ["demo"]),
        (True, (), ["demo"]),
        (False, (), []),
        (None, (KEY,), ["openai"]),
        (False, (KEY,), ["openai"]),
        (True, (KEY,), ["openai", "demo"]),
    ],
)
def test_the_demo_is_there_when_nothing_else_is_or_when_asked_for(
    demo: bool | None, keys: tuple[str, ...], ids: list[str]
) -> None:
    config = Config(demo=demo, openai_api_key=tuple(OpenAICredential(key) for key in keys))
    assert [made.id.partition(":")[0] for made in from_config(config)] == ids


def test_the_demo_lists_its_models_and_gives_way_to_all_others() -> None:
    (made,) = from_config(Config())
    assert {"demo-echo", "demo-tools", "demo-thinking", "demo-slow"} <= set(made.models)
    assert all(name == upstream for name, upstream in made.models.items())
    assert (made.secret, made.label) == ("", "built in")
    assert made.priority < -1_000_000
