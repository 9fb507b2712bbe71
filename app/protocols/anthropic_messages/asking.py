"""Writes a request for a Messages upstream.

Only members from the Messages reference are written, so that nothing of another protocol can get
through: an unknown name is refused. Source: Anthropic Python SDK 2.11,
``types/message_create_params.py``, read 2026-11-21.
"""

from __future__ import annotations

import hashlib

import msgspec

from app.errors import Untranslatable
from app.ir.extras import refuse_foreign
from app.ir.parts import Json
from app.ir.request import Loss, OutputFormat, OutputKind, Request
from app.ir.traits import UNKNOWN
from app.protocols.anthropic_messages.blocks import PROTOCOL, compact
from app.protocols.anthropic_messages.history import Block, History
from app.protocols.anthropic_messages.knobs import (
    Thought,
    answer_limit,
    think,
    tier_of,
    write_chance,
)
from app.protocols.anthropic_messages.offers import explain_history, write_choice, write_tools
from app.protocols.base import Encoded, Target
from app.protocols.names import ToolNames, name_tools
from app.protocols.schema import closed

_NAME_LIMIT = 128
_NAME_LETTERS = "a-zA-Z0-9_-"
_USER_LIMIT = 256
_LONG = 4096
"""Letters of system text from which on it is worth a place in the cache."""

_MARK = {"type": "ephemeral"}
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no prose, no code fence."


def encode_request(request: Request, target: Target) -> Encoded:
    """Write a request; see ``Codec.encode_request``."""
    losses = list(refuse_foreign(request, PROTOCOL))
    traits = target.traits
    names = name_tools(request, limit=_NAME_LIMIT, allowed=_NAME_LETTERS)
    # Of a model nobody knows, a host that knows system turns is the exception.
    takes_system_turns = traits.takes_system_turns and traits != UNKNOWN
    history = History(request, names, takes_system_turns=takes_system_turns)
    tools, choice = _tools(request, target, names, losses)
    thought = think(request, traits, history.messages, choice, losses)
    # An answer that thinks cannot continue the assistant's own words.
    history.end_well(takes_prefill=traits.takes_prefill and not thought.is_on)
    instruction, config = _output(request.output, thought, target)
    if instruction:
        history.system.append(instruction)
    system: list[Block] = []
    if history.system:
        system = [{"type": "text", "text": "\n\n".join(history.system)}]
    _mark_for_cache(tools, system, history.messages)
    body: dict[str, Json] = {
        "model": target.model,
        "max_tokens": answer_limit(request, traits),
        "system": system,
        "messages": history.messages,
        "tools": tools,
        "tool_choice": choice,
        "thinking": thought.thinking,
        "output_config": config,
        **write_chance(request.sampling, traits, thinks=thought.is_on, losses=losses),
        "service_tier": tier_of(request, losses),
        "metadata": _metadata(request),
        "stream": request.stream or None,
    }
    losses += [*history.losses, *_left_out(request)]
    told = {name: value for name, value in body.items() if value not in (None, [], {})}
    return Encoded(msgspec.json.encode(told), tuple(dict.fromkeys(losses)), names)


def _tools(
    request: Request, target: Target, names: ToolNames, losses: list[Loss]
) -> tuple[list[Block], Block | None]:
    tools, lost = write_tools(request, target, names)
    losses += lost
    if tools:
        return tools, write_choice(request, names, tools)
    tools = explain_history(request, names)
    return tools, {"type": "none"} if tools else None


def _output(output: OutputFormat, thought: Thought, target: Target) -> tuple[str, Block]:
    """An instruction for the system text, and ``output_config``."""
    config: Block = {"effort": thought.effort} if thought.effort else {}
    match output.kind:
        case OutputKind.TEXT:
            return "", config
        case OutputKind.SCHEMA if output.schema is not None:
            if target.traits.has_structured_output:
                form = {"type": "json_schema", "schema": closed(dict(output.schema))}
                return "", config | {"format": form}
            about = f"\n{output.description}" if output.description else ""
            schema = compact(dict(output.schema))
            return f"{_JSON_ONLY}\nIt must follow this JSON Schema:\n{schema}{about}", config
        case _:
            return _JSON_ONLY, config


def _metadata(request: Request) -> Block | None:
    """The end user's id; one that is too long keeps its meaning as a digest."""
    user = request.user
    if not user:
        return None
    if len(user) > _USER_LIMIT:
        user = hashlib.sha256(user.encode(errors="surrogatepass")).hexdigest()
    return {"user_id": user}


def _left_out(request: Request) -> list[Loss]:
    if request.modalities and "text" not in request.modalities:
        raise Untranslatable(
            f"the provider of this model answers in text, not in {', '.join(request.modalities)}"
        )
    said = {
        "modalities": any(one != "text" for one in request.modalities),
        "verbosity": request.verbosity not in ("", "medium"),
        "metadata": bool(request.metadata),
    }
    return [Loss(name) for name, is_said in said.items() if is_said]


def _mark_for_cache(
    tools: list[Block], system: list[Block], messages: list[dict[str, Json]]
) -> None:
    """Mark what comes again with the next request; other protocols' clients cannot say it.

    The last tool, the system text and the last user turn: three of the four marks allowed.
    """
    words = sum(len(block["text"]) for block in system)
    if not tools and words <= _LONG:
        return
    asked = [message["content"] for message in messages if message["role"] == "user"]
    for blocks in (tools, system, *asked[-1:]):
        if blocks:
            blocks[-1]["cache_control"] = dict(_MARK)
