"""The way back from a target's tool names, and when there is none to go."""

from __future__ import annotations

import pytest

from app.ir.events import Delta, Event, Open, PartKind, Shut
from app.protocols.names import NO_NAMES, Called, ToolNames


@pytest.mark.parametrize(
    ("called", "has_changed"),
    [
        (Called("read"), False),
        (Called("read!"), True),
        (Called("read", "files"), True),
        (Called("read", custom=True), True),
    ],
    ids=["as it was", "mended", "in a namespace", "custom"],
)
def test_only_changed_names_need_the_way_back(called: Called, has_changed: bool) -> None:
    names = ToolNames({(called.namespace, called.name): "read"}, {"read": called})
    text = '{"input": "x"}'
    events: list[Event] = [Open(PartKind.TOOL_CALL, "call_1", "read"), Delta(text), Shut()]
    assert names.has_changed is has_changed
    assert (list(names.restore(events)) != events) is has_changed


def test_no_names_have_not_changed() -> None:
    assert not NO_NAMES.has_changed
