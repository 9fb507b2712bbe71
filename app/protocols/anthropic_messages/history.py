"""The turns of a request as Messages wants them.

Source: the refusals of the service that public reports quote, and the Messages reference, read
2026-11-21: results first and in the turn behind their calls, no blank text, no blank end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from app.ir.parts import (
    Json,
    Media,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Loss, Request, Role, Turn
from app.ir.tidy import NO_RESULT
from app.protocols.anthropic_messages.blocks import ISSUER, PROTOCOL
from app.protocols.anthropic_messages.media import write_medium
from app.protocols.names import ToolNames, wrapped

Block = dict[str, Json]

_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")
_OBJECT = msgspec.json.Decoder(dict[str, object])
_OPENING = "(The conversation begins with what the assistant says.)"
_GO_ON = "Go on exactly where your last message ends."
_SHOWN = "(What the assistant showed in its last message:)"


class History:
    """Writes the turns of one request.

    Attributes:
        system: the texts that stand above the talk.
        messages: the talk.
        losses: what was left out.
    """

    def __init__(self, request: Request, names: ToolNames, *, takes_system_turns: bool) -> None:
        self.system: list[str] = []
        self.messages: list[dict[str, Json]] = []
        self.losses: list[Loss] = []
        self._names = names
        self._ids = _call_ids(request.turns)
        self._takes_system_turns = takes_system_turns
        self._carried: list[Block] = []
        for turn in request.turns:
            match turn.role:
                case Role.SYSTEM:
                    self._add_system(turn)
                case Role.USER:
                    self._add("user", [*self._user(turn)])
                case Role.ASSISTANT:
                    self._add("assistant", self._assistant(turn))
        self._open_well()

    def end_well(self, *, takes_prefill: bool) -> None:
        """Let the talk end as the model takes it: with the user, or with no blank."""
        spoken = [message for message in self.messages if message["role"] != "system"]
        if not spoken or spoken[-1]["role"] != "assistant":
            return
        blocks = spoken[-1]["content"]
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        last = blocks[-1]
        if called:
            self._add("user", [_unanswered(call_id) for call_id in called])
        elif last["type"] != "text":
            return  # a paused answer that goes back to be continued
        elif takes_prefill:
            last["text"] = last["text"].rstrip()
        else:
            self.losses.append(Loss("prefill"))
            self._add("user", [_words(_GO_ON)])

    def _open_well(self) -> None:
        """Make the user speak first."""
        spoken = [message for message in self.messages if message["role"] != "system"]
        if not spoken and self.system:
            self.messages = [{"role": "user", "content": [_words("\n\n".join(self.system))]}]
            self.system = []
        elif spoken and spoken[0]["role"] == "assistant":
            self.messages.insert(0, {"role": "user", "content": [_words(_OPENING)]})

    def _add_system(self, turn: Turn) -> None:
        texts = [part.text for part in turn.parts if isinstance(part, Text) and part.text.strip()]
        self._note_opaque(turn.parts)
        if not self.messages or not self._takes_system_turns:
            self.system += texts
        elif texts:
            blocks = [_words(text) for text in texts]
            self.messages.append({"role": "system", "content": blocks})

    def _add(self, role: str, blocks: list[Block]) -> None:
        """Append to the last message of the same role: one message for each step."""
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _user(self, turn: Turn) -> Iterator[Block]:
        for part in turn.parts:
            if isinstance(part, ToolResult):
                yield self._result(part)
        yield from self._carried
        self._carried = []
        for part in turn.parts:
            match part:
                case Text(text) | Refusal(text) if text.strip():
                    yield _words(text)
                case Media():
                    yield write_medium(part)
                case _:
                    pass  # results are written, blank text is left out, the rest is told below
        self._note_opaque(turn.parts)

    def _assistant(self, turn: Turn) -> list[Block]:
        blocks = [block for part in turn.parts for block in self._said(part)]
        if blocks and not is_thinking(blocks[0]):  # thinking leads its turn
            blocks.sort(key=lambda block: not is_thinking(block))
        return blocks

    def _said(self, part: Part) -> Iterator[Block]:
        match part:
            case Text(text) | Refusal(text):
                if text.strip():
                    yield _words(text)
            case Thinking():
                yield from _thinking(part)
            case ToolCall():
                yield self._call(part)
            case Media():
                # An assistant's message holds no picture: the user shows it in the next turn.
                if not self._carried:
                    self._carried.append(_words(_SHOWN))
                self._carried.append(write_medium(part))
            case Opaque(protocol=protocol, raw=raw) if protocol == PROTOCOL:
                yield dict(raw)
            case Opaque(what=what):
                self.losses.append(Loss(what))
            case ToolResult():
                pass  # never in an assistant's turn of a tidy request

    def _call(self, call: ToolCall) -> Block:
        arguments = wrapped(call.arguments) if call.custom else call.arguments
        return {
            "type": "tool_use",
            "id": self._ids.get(call.call_id, call.call_id),
            "name": self._names.there(call.name, call.namespace),
            "input": object_of(arguments),
        }

    def _result(self, result: ToolResult) -> Block:
        block: Block = {
            "type": "tool_result",
            "tool_use_id": self._ids.get(result.call_id, result.call_id),
        }
        content = [
            write_medium(piece) if isinstance(piece, Media) else _words(piece.text)
            for piece in result.content
            if isinstance(piece, Media) or piece.text.strip()
        ]
        if result.is_error:
            if any(piece["type"] != "text" for piece in content):
                # A failed result may hold text alone; what it says of itself can be said in words.
                content.insert(0, _words("Error:"))
            else:
                block["is_error"] = True
        if content:
            block["content"] = content
        return block

    def _note_opaque(self, parts: Iterable[Part]) -> None:
        self.losses += [Loss(part.what) for part in parts if isinstance(part, Opaque)]


def is_thinking(block: Block) -> bool:
    """Whether a block is thinking, shown or not."""
    return block["type"] in ("thinking", "redacted_thinking")


def object_of(arguments: str) -> msgspec.Raw:
    """The arguments of a call as an object, to the letter where they are one.

    Broken JSON, of a call that was cut, and values that are no object are put into one.
    """
    if not arguments.strip():
        return msgspec.Raw(b"{}")
    try:
        _OBJECT.decode(arguments)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return msgspec.Raw(msgspec.json.encode({"_raw": arguments}))
    return msgspec.Raw(arguments.encode())


def _words(text: str) -> Block:
    return {"type": "text", "text": text}


def _unanswered(call_id: str) -> Block:
    return {"type": "tool_result", "tool_use_id": call_id, "content": [_words(NO_RESULT)]}


def _thinking(part: Thinking) -> Iterator[Block]:
    """Thinking that Claude has sealed; any other is not its own and would be refused."""
    if part.seal is None or part.seal.issuer != ISSUER:
        return
    if part.redacted:
        yield {"type": "redacted_thinking", "data": part.seal.value}
    else:
        yield {"type": "thinking", "thinking": part.text, "signature": part.seal.value}


def _call_ids(turns: tuple[Turn, ...]) -> dict[str, str]:
    """Legal ids for those that are not, each its own."""
    own = [part.call_id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    taken = {call_id for call_id in own if call_id and not _REFUSED.search(call_id)}
    found: dict[str, str] = {}
    for call_id in own:
        if call_id in taken or call_id in found:
            continue
        mended = base = _REFUSED.sub("_", call_id) or "call"
        count = 1
        while mended in taken:
            count += 1
            mended = f"{base}_{count}"
        taken.add(mended)
        found[call_id] = mended
    return found
