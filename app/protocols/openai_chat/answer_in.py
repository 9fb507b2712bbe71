"""Upstream answers of Chat, whole and streamed, as events.

The same reader takes chunks and whole answers: a message is a delta that came at once. Hosts
differ a lot; where they do is said beside each leniency.

Source: OpenAI Python SDK 3.52, ``types/chat``, read 2026-11-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from app.errors import Garbled, Overloaded
from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    PartKind,
    Start,
    Usage,
    UsageEvent,
)
from app.ir.fold import settle
from app.ir.parts import Citation, Seal
from app.protocols.failures import failure_of, is_bare
from app.protocols.openai_chat.media_in import medium_of
from app.protocols.openai_chat.segments import Fragment, Segments
from app.protocols.openai_shapes import read_usage
from app.protocols.reading import count_of, mapping_of, payload_of

_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.REFUSAL,
    # no words of the protocol, but of some hosts
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.WINDOW,
    "tool_use": FinishReason.TOOL_CALLS,
    "sensitive": FinishReason.REFUSAL,
    "safety": FinishReason.REFUSAL,
    "recitation": FinishReason.REFUSAL,
    "refusal": FinishReason.REFUSAL,
    "prohibited_content": FinishReason.REFUSAL,
}
_TEXT = frozenset({"index", "delta", "logprobs", "finish_reason"})
_CONTENT = frozenset({"content"})
_BROKEN = frozenset({"error", "insufficient_system_resource", "network_error"})


def decode_answer(body: bytes) -> Iterator[Event]:
    """Read a whole answer; see ``Codec.decode_answer``."""
    document = _document(body)
    reader = _Reader()
    if not _choices(document):
        raise Garbled("the provider's answer holds no choice")
    yield from reader.chunk(document, "message")
    yield from reader.end(FinishReason.STOP)  # some hosts leave the reason null


def decode_stream(frames: Iterable[bytes]) -> Iterator[Event]:
    """Read a stream; see ``Codec.decode_stream``.

    The end waits for ``[DONE]`` or for the last frame, as usage may come behind the reason. A
    stream without a reason has no end, whatever ``[DONE]`` says.
    """
    reader = _Reader()
    for frame in frames:
        if not frame:
            yield Flush()
            continue
        data = payload_of(frame).strip()
        if data == b"[DONE]":
            break
        if not data:
            continue
        document = _document(data)
        if text := reader.mere_text(document):
            yield Delta(text)
        else:
            yield from reader.chunk(document, "delta")
    yield from reader.end()


def _document(data: bytes) -> dict[str, Any]:
    """A chunk or an answer.

    Raises:
        Garbled: it is no JSON object.
        UpstreamError: it is an error.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Garbled("the provider's answer is not JSON") from error
    if not isinstance(document, dict):
        raise Garbled("the provider's answer is not a JSON object")
    if failure := document.get("error"):
        raise failure_of(failure, document)
    if document.get("type") == "error" or (is_bare(document) and "choices" not in document):
        raise failure_of(document)
    return document


def _choices(document: dict[str, Any]) -> list[dict[str, Any]]:
    choices = document.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice for choice in choices if isinstance(choice, dict)]


class _Reader:
    """Turns chunks into events; only the first choice is read."""

    def __init__(self) -> None:
        self._started = False
        self._usage: Usage | None = None
        self._reason: FinishReason | None = None
        self._stop_sequence = ""
        self._segments = Segments()

    def mere_text(self, document: dict[str, Any]) -> str:
        """The text of a chunk that holds nothing else and goes on with the open text.

        Nearly all chunks are such; ``chunk`` says the same of them at four times the price.
        """
        choices = document.get("choices")
        if not isinstance(choices, list) or len(choices) != 1 or document.get("usage"):
            return ""
        choice = choices[0]
        if (
            not isinstance(choice, dict)
            or choice.get("finish_reason")
            or not choice.keys() <= _TEXT
        ):
            return ""
        delta = choice.get("delta")
        if not isinstance(delta, dict) or delta.keys() != _CONTENT or choice.get("index") != 0:
            return ""
        text = delta["content"]
        if not isinstance(text, str) or not text or "x_groq" in document:
            return ""
        return text if self._segments.goes_on(text) else ""

    def chunk(self, document: dict[str, Any], holder: str) -> Iterator[Event]:
        """The events of one chunk, or of a whole answer; ``holder`` is where its words are."""
        choices = _choices(document)
        if not self._started and (choices or document.get("id")):
            yield self._start(document)
        for choice in choices:
            if choice.get("index") in (0, None):
                yield from self._choice(choice, holder)
        usage = _usage(document, choices)
        if usage is not None and usage != self._usage and self._started:
            self._usage = usage
            yield UsageEvent(usage)

    def end(self, default: FinishReason | None = None) -> Iterator[Event]:
        """What is left, and the reason if one was given; nothing when the answer was cut."""
        reason = self._reason or default
        if reason is None:
            return
        yield from self._segments.close()
        if reason is FinishReason.TOOL_CALLS and not self._segments.called:
            reason = FinishReason.STOP
        if reason is FinishReason.STOP and self._segments.refused:
            reason = FinishReason.REFUSAL
        yield Finish(settle(reason, self._segments.called), self._stop_sequence)

    def _start(self, document: dict[str, Any]) -> Start:
        self._started = True
        answer_id = str(document.get("id") or "").removeprefix("chatcmpl-")
        self._segments.answer_id = answer_id
        return Start(answer_id, str(document.get("model") or ""), count_of(document.get("created")))

    def _choice(self, choice: dict[str, Any], holder: str) -> Iterator[Event]:
        # A whole answer to a stream, or a last chunk with the whole message: some hosts do so.
        delta = choice.get(holder)
        if not isinstance(delta, dict):
            delta = mapping_of(choice.get("message")) if not self._segments.said else {}
        yield from self._delta(delta)
        reason = choice.get("finish_reason")
        if not isinstance(reason, str) or reason in ("", "null"):
            return
        yield from self._segments.close()
        self._reason = _reason(reason)
        stop = choice.get("stop_reason")  # vLLM names the stop string that was met
        if isinstance(stop, str) and self._reason is FinishReason.STOP:
            self._stop_sequence = stop

    def _delta(self, delta: dict[str, Any]) -> Iterator[Event]:
        segments = self._segments
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thought, str) and thought:
            yield from segments.words(PartKind.THINKING, thought)
        content = delta.get("content")
        if isinstance(content, str):
            if content:
                yield from segments.words(PartKind.TEXT, content)
        elif isinstance(content, list):
            yield from self._listed(content)
        if annotations := delta.get("annotations"):
            yield from self._cited(annotations)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            yield from segments.words(PartKind.REFUSAL, refusal)
        if images := delta.get("images"):
            yield from self._pictures(images)
        if audio := delta.get("audio"):
            yield from self._spoken(audio)
        yield from self._calls(delta)

    def _listed(self, content: list[Any]) -> Iterator[Event]:
        """Content as a list of parts, as Mistral's thinking models send it."""
        for part in content:
            held = mapping_of(part)
            match held.get("type"):
                case "text" if isinstance(text := held.get("text"), str) and text:
                    yield from self._segments.words(PartKind.TEXT, text)
                case "thinking":
                    inner = held.get("thinking")
                    pieces = inner if isinstance(inner, list) else [{"text": inner}]
                    for piece in pieces:
                        text = mapping_of(piece).get("text")
                        if isinstance(text, str) and text:
                            yield from self._segments.words(PartKind.THINKING, text)
                case _:
                    pass  # already paid for, and nothing a reader of text could be given

    def _cited(self, annotations: object) -> Iterator[Event]:
        for annotation in annotations if isinstance(annotations, list) else ():
            cited = mapping_of(mapping_of(annotation).get("url_citation"))
            if isinstance(url := cited.get("url"), str) and url:
                title = cited.get("title")
                citation = Citation(
                    url,
                    title if isinstance(title, str) else "",
                    count_of(cited.get("start_index")),
                    count_of(cited.get("end_index")),
                )
                yield from self._segments.cite(Cite(citation))

    def _pictures(self, images: object) -> Iterator[Event]:
        """Pictures beside the text: OpenRouter's member, and Google's models behind it."""
        for image in images if isinstance(images, list) else ():
            url = mapping_of(mapping_of(image).get("image_url")).get("url")
            media = medium_of(url) if isinstance(url, str) and url else None
            if media is not None:
                yield from self._segments.picture(media)

    def _spoken(self, audio: object) -> Iterator[Event]:
        """The words of a spoken answer; its sound has no format and is left out."""
        transcript = mapping_of(audio).get("transcript")
        if isinstance(transcript, str) and transcript:
            yield from self._segments.words(PartKind.TEXT, transcript)

    def _calls(self, delta: dict[str, Any]) -> Iterator[Event]:
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            yield from self._segments.fragment(_fragment(mapping_of(call)))
        if isinstance(call := delta.get("function_call"), dict):  # what tools were once
            yield from self._segments.fragment(_fragment({"index": 0, "function": call}))


def _fragment(call: dict[str, Any]) -> Fragment:
    index = call.get("index")
    custom = call.get("type") == "custom" or "custom" in call
    held = mapping_of(call.get("custom" if custom else "function"))
    arguments = held.get("input" if custom else "arguments")
    if isinstance(arguments, dict):  # Ollama and others send the object itself
        arguments = orjson.dumps(arguments).decode()
    google = mapping_of(mapping_of(call.get("extra_content")).get("google"))
    signature = google.get("thought_signature")
    return Fragment(
        number=index if isinstance(index, int) else None,
        call_id=_text(call.get("id")),
        name=_text(held.get("name")),
        text=_text(arguments),
        custom=custom,
        seal=Seal("google", signature) if isinstance(signature, str) and signature else None,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _reason(reason: str) -> FinishReason:
    """The reason behind a host's word.

    Raises:
        Overloaded: the word says that the answer broke off.
    """
    word = reason.lower()
    if word in _BROKEN:
        raise Overloaded("the provider broke off its answer", status=502)
    return _REASONS.get(word, FinishReason.STOP)


def _usage(document: dict[str, Any], choices: list[dict[str, Any]]) -> Usage | None:
    """Usage where the protocol has it, and where Groq and Moonshot have it."""
    found = document.get("usage") or mapping_of(document.get("x_groq")).get("usage")
    if not found and choices:
        found = choices[0].get("usage")
    return read_usage(found, "prompt", "completion") if found else None
