from __future__ import annotations

import pytest

from app.errors import Untranslatable
from app.protocols.base import Operation
from app.providers.openai import OpenAI
from tests.providers.signers import Signer

PROVIDER = OpenAI()


@pytest.mark.parametrize(
    ("protocol", "operation", "model", "path"),
    [
        ("openai_chat", Operation.GENERATE, "gpt-1", "/chat/completions"),
        ("openai_chat", Operation.COMPLETE, "gpt-1", "/completions"),
        ("openai_chat", Operation.EMBED, "gpt-1", "/embeddings"),
        ("openai_responses", Operation.GENERATE, "gpt-1", "/responses"),
        ("openai_responses", Operation.COMPACT, "gpt-1", "/responses/compact"),
        ("openai_responses", Operation.COUNT_TOKENS, "gpt-1", "/responses/input_tokens"),
        ("openai_responses", Operation.GET_RESPONSE, "resp_1", "/responses/resp_1"),
        ("openai_responses", Operation.DELETE_RESPONSE, "resp_1", "/responses/resp_1"),
        ("openai_responses", Operation.CANCEL_RESPONSE, "resp_1", "/responses/resp_1/cancel"),
        ("openai_responses", Operation.LIST_INPUT_ITEMS, "resp_1", "/responses/resp_1/input_items"),
    ],
)
def test_each_call_has_its_path(protocol: str, operation: Operation, model: str, path: str) -> None:
    for stream in (False, True):
        url = PROVIDER.url(Signer(), protocol, operation, model, stream)
        assert url == "https://api.openai.com/v1" + path


@pytest.mark.parametrize(
    ("protocol", "operation"),
    [
        ("openai_chat", Operation.COUNT_TOKENS),
        ("openai_chat", Operation.GET_RESPONSE),
        ("openai_responses", Operation.EMBED),
        ("anthropic_messages", Operation.GENERATE),
    ],
)
def test_other_calls_are_refused(protocol: str, operation: Operation) -> None:
    with pytest.raises(Untranslatable):
        PROVIDER.url(Signer(), protocol, operation, "gpt-1", False)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://h", "https://h/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("https://h/x/v4", "https://h/x/v4/chat/completions"),
    ],
)
def test_a_base_url_with_or_without_version(base_url: str, url: str) -> None:
    signer = Signer(base_url=base_url)
    assert PROVIDER.url(signer, "openai_chat", Operation.GENERATE, "m", False) == url
    assert PROVIDER.list_url(signer) == url.replace("/chat/completions", "/models")


@pytest.mark.parametrize(
    ("wire_api", "protocols"),
    [
        ("", ("openai_chat", "openai_responses")),
        ("chat", ("openai_chat",)),
        ("responses", ("openai_responses",)),
    ],
)
def test_the_operator_may_allow_one_protocol(wire_api: str, protocols: tuple[str, ...]) -> None:
    assert PROVIDER.protocols(Signer(wire_api=wire_api)) == protocols


def test_calls_are_signed_with_a_bearer_token() -> None:
    assert PROVIDER.headers(Signer(secret="abc")) == {"authorization": "Bearer abc"}
    assert PROVIDER.headers(Signer(secret="")) == {}


def test_the_list_names_openai_as_owner() -> None:
    (model,) = PROVIDER.read_models(b'{"data":[{"id":"gpt-1","owned_by":"system","created":7}]}')
    assert (model.id, model.owned_by, model.created_s) == ("gpt-1", "openai", 7)
    assert PROVIDER.next_list_url("https://h/v1/models", b"{}") == ""
