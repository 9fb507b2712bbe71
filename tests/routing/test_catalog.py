from __future__ import annotations

import pytest

from app.config.schema import Config
from app.credentials.credential import Credential
from app.errors import UnknownModel
from app.protocols.base import ModelInfo
from app.routing.catalog import Catalog, Lists, NoLists, Route
from tests.routing.credentials import Told, credential


def catalog(
    *credentials: Credential, lists: Lists | None = None, force_prefix: bool = False
) -> Catalog:
    return Catalog(Config(force_model_prefix=force_prefix), credentials, lists)


def served(route: Route) -> list[tuple[str, str]]:
    return [(c.credential.id, c.upstream_model) for c in route.candidates]


def names(found: Catalog) -> list[str]:
    return [model.id for model in found.models()]


def refuses(found: Catalog, name: str) -> bool:
    try:
        found.resolve(name)
    except UnknownModel:
        return True
    return False


def test_an_alias_hides_the_name_behind_it() -> None:
    found = catalog(credential(models={"fast": "gpt-mini", "gpt-1": "gpt-1"}))
    assert served(found.resolve("fast")) == [("c1", "gpt-mini")]
    assert found.resolve("fast").alias == "fast"
    assert names(found) == ["fast", "gpt-1"]
    assert refuses(found, "gpt-mini")
    assert refuses(found, "gpt-2")  # configured models stand for all it serves


def test_an_unknown_name_is_refused_with_the_name_and_nothing_else() -> None:
    found = catalog(credential(models={"a": "a"}))
    with pytest.raises(UnknownModel, match="'none-such'") as caught:
        found.resolve("none-such")
    assert caught.value.status == 404
    assert "secret" not in caught.value.message


def test_a_prefix_makes_twins() -> None:
    found = catalog(
        credential(models={"a": "up"}, prefix="team"), credential("c2", models={"a": "a"})
    )
    assert served(found.resolve("team/a")) == [("c1", "up")]
    assert served(found.resolve("a")) == [("c1", "up"), ("c2", "a")]
    assert names(found) == ["a", "team/a"]


def test_a_forced_prefix_leaves_the_twin_alone() -> None:
    found = catalog(
        credential(models={"a": "up", "team": "t"}, prefix="team"),
        credential("c2", prefix="own"),
        force_prefix=True,
    )
    assert names(found) == ["team", "team/a", "team/team"]  # a prefix that is a name stays
    assert refuses(found, "a")
    assert refuses(found, "gpt-1")
    assert served(found.resolve("own/gpt-1")) == [("c2", "gpt-1")]


@pytest.mark.parametrize("pattern", ["gpt-mini", "GPT-*", "*mini", "*"])
def test_excluded_models_are_neither_listed_nor_served(pattern: str) -> None:
    told = Told(c1=("gpt-mini",))
    assert names(catalog(credential(excluded=(pattern,)), lists=told)) == []
    for found in (
        catalog(credential(excluded=(pattern,)), lists=told),
        catalog(credential(excluded=(pattern,))),
        catalog(credential(models={"fast": "gpt-mini"}, excluded=(pattern,))),
        catalog(credential(models={"gpt-mini": "x-mini"}, excluded=(pattern,))),
    ):
        assert refuses(found, "gpt-mini")
        assert refuses(found, "fast")


def test_without_any_list_the_usual_names_are_served_and_none_is_listed() -> None:
    found = catalog(credential(), credential("c2", "claude"), credential("c3", "gemini"))
    assert names(found) == []
    assert served(found.resolve("gpt-99")) == [("c1", "gpt-99")]
    assert served(found.resolve("claude-99")) == [("c2", "claude-99")]
    assert served(found.resolve("gemini-99")) == [("c3", "gemini-99")]
    assert refuses(found, "llama")
    assert refuses(catalog(credential(provider="openai-compatibility")), "gpt-99")


def test_gemini_clients_may_put_models_in_front() -> None:
    found = catalog(credential(provider="gemini"), credential("c2", models={"a": "b"}))
    assert found.resolve("models/gemini-1").alias == "gemini-1"
    assert served(found.resolve("models/gemini-1")) == [("c1", "gemini-1")]
    assert served(found.resolve("models/a")) == [("c2", "b")]
    assert served(found.resolve(" a ")) == [("c2", "b")]
    assert refuses(found, "models/none")


def test_a_live_list_names_what_is_served() -> None:
    found = catalog(credential(), lists=Told(c1=("gpt-1", "whisper")))
    assert served(found.resolve("whisper")) == [("c1", "whisper")]
    assert found.models() == [
        ModelInfo("gpt-1", "openai", 7),
        ModelInfo("whisper", "openai", 7),
    ]


def test_a_block_is_shown_as_owner_under_its_name() -> None:
    block = credential(provider="openai-compatibility", provider_name="groq", models={"a": "a"})
    assert catalog(block).models() == [ModelInfo("a", "groq")]


def test_a_name_that_left_the_list_is_still_tried_where_nothing_else_is() -> None:
    told = Told(c1=("gpt-1",))
    found = catalog(credential(), credential("c2"), lists=told)
    # c2 has told nothing yet, so the name is as good as any other there
    assert served(found.resolve("gpt-2")) == [("c2", "gpt-2")]
    assert served(found.resolve("gpt-1")) == [("c1", "gpt-1"), ("c2", "gpt-1")]
    told.tell(c2=("gpt-3",))
    assert served(found.resolve("gpt-2")) == [("c1", "gpt-2"), ("c2", "gpt-2")]
    assert served(found.resolve("gpt-1")) == [("c1", "gpt-1")]
    told.tell(c2=("gpt-2",))
    assert served(found.resolve("gpt-2")) == [("c2", "gpt-2")]
    assert refuses(found, "llama")


def test_a_changed_list_shows_at_once() -> None:
    told = Told()
    found = catalog(credential(), lists=told)
    assert names(found) == []
    told.tell(c1=("b", "a"))
    assert names(found) == ["a", "b"]
    assert served(found.resolve("a")) == [("c1", "a")]
    told.tell(c1=("b",))
    assert refuses(found, "a")


def test_candidates_stand_in_tiers_of_their_priority() -> None:
    found = catalog(
        credential("low", models={"a": "1"}, priority=-1),
        credential("one", models={"a": "2"}),
        credential("top", models={"a": "3"}, priority=5),
        credential("two", models={"a": "4"}),
    )
    route = found.resolve("a")
    assert [[c.credential.id for c in tier] for tier in route.tiers] == [
        ["top"],
        ["one", "two"],
        ["low"],
    ]
    assert [c.credential.id for c in route.candidates] == ["top", "one", "two", "low"]
    assert names(found) == ["a"]


def test_guessed_names_keep_their_priorities_and_prefixes() -> None:
    found = catalog(
        credential("one", prefix="team"), credential("two", priority=1), credential("three")
    )
    assert [len(tier) for tier in found.resolve("gpt-1").tiers] == [1, 2]
    assert served(found.resolve("team/gpt-1")) == [("one", "gpt-1")]


def test_a_guessed_route_is_remembered() -> None:
    found = catalog(credential())
    assert found.resolve("gpt-1") is found.resolve("gpt-1")


def test_what_is_remembered_is_bounded() -> None:
    found = catalog(credential())
    first = found.resolve("gpt-first")
    for number in range(1024):
        found.resolve(f"gpt-{number}")
    assert found.resolve("gpt-first") is not first
    assert served(found.resolve("gpt-first")) == served(first)


@pytest.mark.parametrize("name", ["gpt-" + "x" * 300, "gpt-1\nlevel=error", "gpt-\x00", "", " "])
def test_odd_names_are_not_passed_on(name: str) -> None:
    found = catalog(credential())
    with pytest.raises(UnknownModel) as caught:
        found.resolve(name)
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_credentials_by_protocol() -> None:
    found = catalog(
        credential("one"),
        credential("two", wire_api="chat"),
        credential("three", "claude"),
        credential("four", priority=1),
    )
    responses = found.of_protocol("openai_responses")
    assert [(c.credential.id, c.upstream_model) for c in responses] == [("four", ""), ("one", "")]
    assert [c.credential.id for c in found.of_protocol("anthropic_messages")] == ["three"]
    assert found.of_protocol("gemini_generate") == ()


def test_credentials_stay_in_the_order_they_came() -> None:
    given = (credential("b"), credential("a", priority=3))
    assert catalog(*given).credentials == given
    assert NoLists().get("a") is None
