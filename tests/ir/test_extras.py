"""Members that only one protocol has: kept, lost, missed by nobody, or refused."""

from __future__ import annotations

import pytest

from app.errors import Untranslatable
from app.ir.extras import REFUSED, UNMISSED, refuse_foreign
from app.ir.parts import Opaque
from app.ir.request import Loss, Request


def asked(*names: str) -> Request:
    return Request("m", (), extras=tuple(Opaque("openai_responses", name) for name in names))


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_stands_for_content_is_refused(name: str) -> None:
    with pytest.raises(Untranslatable, match=name) as caught:
        refuse_foreign(asked(name), "openai_chat")
    assert caught.value.details == {"param": name}
    assert refuse_foreign(asked(name), "openai_responses") == ()


def test_the_rest_is_a_loss_told_once() -> None:
    request = asked("max_tool_calls", "moderation", "max_tool_calls", *UNMISSED)
    assert refuse_foreign(request, "openai_chat") == (Loss("max_tool_calls"), Loss("moderation"))
