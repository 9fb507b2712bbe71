"""Responses' answers as events, streamed or whole.

Items may come interleaved, while the parts of an answer stand one behind the other: whatever
belongs to a later item waits until the item before it is done.

Source: OpenAI Python SDK 3.52, ``types/responses`` and ``lib/streaming/responses``, read
2026-11-21.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from app.errors import Garbled, UpstreamError
from app.ir.events import Event, Finish, FinishReason, Flush, Start, UsageEvent
from app.ir.fold import settle
from app.protocols.failures import failure_of, is_bare
from app.protocols.openai_responses.outputs import Output, output_of
from app.protocols.openai_shapes import read_usage
from app.protocols.reading import count_of, mapping_of, payload_of

_ENDS = ("response.completed", "response.incomplete")
_FAILURES = ("response.failed", "response.cancelled", "response.error", "error")
_PLACES = ("output_index", "item_id")
_UNFINISHED = ("in_progress", "queued")
_REASONS = {"content_filter": FinishReason.REFUSAL}


def decode_answer(body: bytes) -> Iterator[Event]:
    """Read a whole response; see ``Codec.decode_answer``."""
    document = _parsed(body)
    response = mapping_of(document.get("response")) or document
    failure = _failure(response)
    if failure is not None:
        raise failure
    if not isinstance(response.get("output"), list) or response.get("status") in _UNFINISHED:
        raise Garbled("the provider's answer is no finished response")
    reader = _Reader()
    yield from reader.begun(response)
    yield from reader.ended(response)


def decode_stream(frames: Iterable[bytes]) -> Iterator[Event]:
    """Read a stream; see ``Codec.decode_stream``."""
    reader = _Reader()
    for frame in frames:
        if not frame:
            yield Flush()
            continue
        data = payload_of(frame)
        if not data or data == b"[DONE]" or reader.finished:
            continue
        yield from reader.read(_parsed(data))


class _Reader:
    """What is known of an answer so far."""

    def __init__(self) -> None:
        self.finished = False
        self._started = False
        self._outputs: dict[int | str, Output] = {}
        self._waiting: list[Output] = []
        self._ids: set[str] = set()
        self._called = False
        self._refused = False

    def read(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Learn from one event of the stream.

        Raises:
            UpstreamError: it is an error.
        """
        kind = str(event.get("type"))
        response = mapping_of(event.get("response"))
        if kind in _FAILURES or event.get("error") or _is_bare(event):
            raise _failure(event) or _failure(response) or failure_of(event)
        if kind in _ENDS:
            yield from self.begun(response)
            yield from self.ended(response)
        elif response:
            yield from self.begun(response)
        elif (isinstance(kind, str) and "output_index" in event) or "item_id" in event:
            yield from self.begun({})
            yield from self._item(kind, event)

    def begun(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """The start, once."""
        if self._started:
            return
        self._started = True
        answer_id, model = response.get("id"), response.get("model")
        yield Start(
            answer_id.removeprefix("resp_") if isinstance(answer_id, str) else "",
            model if isinstance(model, str) else "",
            count_of(response.get("created_at")),
        )

    def ended(self, response: Mapping[str, Any]) -> Iterator[Event]:
        """Everything that is still to be told, and the end.

        The items of the last event may be missing although they were streamed, or be there
        although they were not: what was streamed counts, and the rest is added.
        """
        items = response.get("output")
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                yield from self._whole(index, item)
        for output in self._outputs.values():
            output.close()
        yield from self._told()
        usage = read_usage(response.get("usage"), "input", "output")
        if usage is not None:
            yield UsageEvent(usage)
        self.finished = True
        yield Finish(self._reason(response))

    def _reason(self, response: Mapping[str, Any]) -> FinishReason:
        details = response.get("incomplete_details")  # null on success
        if response.get("status") == "incomplete" or details:
            why = mapping_of(details).get("reason")
            return _REASONS.get(str(why), FinishReason.LENGTH)
        if self._refused and not self._called:
            return FinishReason.REFUSAL
        return settle(FinishReason.STOP, self._called)

    def _item(self, kind: str, event: Mapping[str, Any]) -> Iterator[Event]:
        index = event.get("output_index")
        key = str(event.get("item_id")) if index is None else count_of(index)
        item = mapping_of(event.get("item"))
        output = self._outputs.get(key)
        if output is None:
            output = output_of(item.get("type"), kind)
            if output is None:  # an item of the provider's own tools, or nothing of an item
                return
            self._add(key, output)
        if output.closed:
            return
        self._ids |= _ids(item.get("id"), event.get("item_id"), item.get("call_id"))
        if kind == "response.output_item.added":
            output.added(item)
        elif kind == "response.output_item.done":
            output.done(item)
        else:
            output.learn(kind, event)
        yield from self._told()

    def _whole(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        """An item of the last event: the end of one that was streamed, or one that was not."""
        output = self._outputs.get(index)
        if output is None:
            if self._ids & _ids(item.get("id"), item.get("call_id")):
                return
            output = output_of(item.get("type"), "")
            if output is None:
                return
            self._add(index, output)
        if not output.closed and output.takes(item.get("type")):
            output.done(item)
        yield from self._told()

    def _add(self, key: int | str, output: Output) -> None:
        self._outputs[key] = output
        self._waiting.append(output)

    def _told(self) -> Iterator[Event]:
        """What the first unfinished item has to tell, and those behind it once it is done."""
        while self._waiting:
            output = self._waiting[0]
            yield from output.taken()
            if not output.closed:
                return
            self._called = self._called or output.is_call
            self._refused = self._refused or output.is_refusal
            self._waiting.pop(0)


def _ids(*values: object) -> set[str]:
    return {value for value in values if isinstance(value, str) and value}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        document = _leniently(data)
    if not isinstance(document, dict):
        raise Garbled("the provider's answer is no JSON object")
    return document


def _leniently(data: bytes) -> object:
    """Half a surrogate pair, when a character is cut between two events, is no reason to stop."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Garbled("the provider's answer is not valid JSON") from None


def _is_bare(event: Mapping[str, Any]) -> bool:
    return "type" not in event and is_bare(event)


def _failure(holder: Mapping[str, Any]) -> UpstreamError | None:
    """The error that an event or a response tells of; a null one is none."""
    error = holder.get("error")
    if error:
        return failure_of(error, holder)
    if holder.get("status") in ("failed", "cancelled") and "response" not in holder:
        return failure_of({})
    return failure_of(holder) if _is_bare(holder) else None
