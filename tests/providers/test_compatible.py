from __future__ import annotations

import pytest

from app.protocols.base import Operation
from app.providers.compatible import Codex, Compatible
from tests.providers.signers import Signer


@pytest.mark.parametrize("base_url", ["https://h/openai/v1", "https://h/any/place/", "http://h:1"])
def test_a_base_url_is_taken_as_it_is(base_url: str) -> None:
    signer = Signer(base_url=base_url)
    root = base_url.rstrip("/")
    url = Compatible().url(signer, "openai_chat", Operation.GENERATE, "m", True)
    assert url == root + "/chat/completions"
    assert Compatible().list_url(signer) == root + "/models"


def test_wire_api_decides_the_protocol() -> None:
    assert Compatible().protocols(Signer()) == ("openai_chat",)
    assert Compatible().protocols(Signer(wire_api="chat")) == ("openai_chat",)
    assert Compatible().protocols(Signer(wire_api="responses")) == ("openai_responses",)


def test_owners_are_told_as_the_host_names_them() -> None:
    (model,) = Compatible().read_models(b'{"data":[{"id":"m","owned_by":"them"}]}')
    assert model.owned_by == "them"


def test_a_codex_key_speaks_responses_alone() -> None:
    signer = Signer(base_url="https://h/backend")
    assert Codex().protocols(signer) == ("openai_responses",)
    url = Codex().url(signer, "openai_responses", Operation.GENERATE, "gpt-1", True)
    assert url == "https://h/backend/responses"
    assert Codex().headers(signer) == {"authorization": f"Bearer {signer.secret}"}
