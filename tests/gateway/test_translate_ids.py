"""Ids of calls that the provider did not name."""

from __future__ import annotations

from app.gateway.translate import Translation
from app.ir.events import Event, Finish, FinishReason, Open, PartKind, Shut, Start
from app.protocols import CODECS
from app.protocols.base import Encoded
from app.upstream.transport import Reply
from tests.gateway.world import credential, exchange


class _Nothing:
    def read(self, wait_s: float | None = None, /) -> bytes | None:
        return b""

    def close(self) -> None:
        """Nothing is held."""


def _ids(request_id: str, call_id: str) -> list[str]:
    asked = exchange(credential("c", "http://127.0.0.1:9"), request_id=request_id)
    translation = Translation(
        asked,
        Reply(200, "OK", [], _Nothing()),
        lambda *_: None,
        source=CODECS["gemini_generate"],
        encoded=Encoded(b"{}"),
        remember=iter,
    )
    events: list[Event] = [
        Start("", "m", 0),
        Open(PartKind.TOOL_CALL, call_id=call_id, name="look"),
        Shut(),
        Finish(FinishReason.TOOL_CALLS),
    ]
    return [event.call_id for event in translation._events(events) if isinstance(event, Open)]


def test_calls_of_answers_without_an_id_differ_between_answers() -> None:
    assert _ids("one", "call__0") == ["call_one_0"]
    assert _ids("two", "call__0") == ["call_two_0"]


def test_a_calls_own_id_stays() -> None:
    assert _ids("one", "call_7") == ["call_7"]
