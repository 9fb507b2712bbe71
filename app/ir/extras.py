"""Members of a request that cannot be left out for a target that has no word for them."""

from __future__ import annotations

from app.errors import Untranslatable
from app.ir.request import Loss, Request

REFUSED = frozenset(
    {
        "previous_response_id",
        "conversation",
        "item_reference",
        "compaction",
        "compaction_trigger",
        "prompt",
        "background",
        "cached_content",
        "file_id",
        "thread",
    }
)
"""Extras that stand for content the gateway does not have, or for a promise it cannot keep."""


UNMISSED = frozenset({"store", "include", "truncation", "prompt_cache_retention"})
"""Extras that say how the provider keeps its books; nobody misses them elsewhere."""


def refuse_foreign(request: Request, protocol: str) -> tuple[Loss, ...]:
    """Look at the extras that another protocol brought along; ``protocol`` keeps its own.

    Returns:
        The losses of those that may be left out, without doubles.

    Raises:
        Untranslatable: one stands for content; the message names it.
    """
    losses: dict[str, Loss] = {}
    for extra in request.extras:
        if extra.protocol == protocol:
            continue
        if extra.what in REFUSED:
            raise Untranslatable(
                f"`{extra.what}` refers to what only the provider of its own protocol keeps; the"
                " provider chosen for this model cannot be given it",
                details={"param": extra.what},
            )
        if extra.what not in UNMISSED:
            losses[extra.what] = Loss(extra.what)
    return tuple(losses.values())
