"""Serves the demo models inside the process, as an adapter for requests.

To whoever reads its answers it is an upstream like any other: a status, headers, and a body that
comes piece by piece.
"""

from __future__ import annotations

import base64
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from typing_extensions import override

from app import clock
from app.errors import BadRequest, GatewayError, NotFound
from app.ir.events import Delta, Event
from app.protocols import CODECS
from app.protocols.base import Codec, Operation, Shape
from app.protocols.gemini_generate import as_array
from app.protocols.openai_chat.legacy import encode_completion, encode_completion_stream
from app.providers.demo import SLOW, check_request, completion_events, count_words, demo_events
from app.providers.demo_prompt import gemini_texts, texts_of
from app.providers.demo_sample import vector_of

PACE_S = 0.1
"""What ``demo-slow`` waits before each word."""

_STEP_S = 0.02
"""How soon a waiting read sees that it was closed."""

_DIMENSIONS = 16
_MOST_DIMENSIONS = 4096
_JSON = "application/json"
_EVENTS = "text/event-stream; charset=utf-8"

Json = Mapping[str, Any]
Piece = tuple[float, bytes]
"""Seconds to wait, and the bytes to hand out then."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, taken apart."""

    codec: Codec
    operation: Operation
    model: str
    stream: bool
    framing: str
    request: Json


@dataclass(frozen=True, slots=True)
class _Answer:
    content_type: str
    pieces: Iterator[Piece]


class DemoBody:
    """A body that comes at its own pace, from one reading greenlet at a time."""

    def __init__(self, pieces: Iterator[Piece]) -> None:
        self._pieces = pieces
        self._held: bytes | None = None
        self._due_s = 0.0
        self._closed = False

    def read(self, wait_s: float | None = None) -> bytes | None:
        """The next piece; ``b""`` at the end, None when none came within ``wait_s``."""
        if self._held is None and not self._closed:
            pause_s, self._held = next(self._pieces, (0.0, b""))
            self._due_s = clock.monotonic() + pause_s
        stop_s = None if wait_s is None else clock.monotonic() + wait_s
        while not self._closed and (rest_s := self._due_s - clock.monotonic()) > 0:
            if stop_s is not None:
                rest_s = min(rest_s, stop_s - clock.monotonic())
            if rest_s <= 0:
                return None
            clock.sleep(min(rest_s, _STEP_S))
        if self._closed:
            return b""
        piece, self._held = self._held, None
        return piece

    def close(self) -> None:
        """Stop; a read that waits ends at once."""
        self._closed = True
        self._pieces = iter(())


class DemoAdapter(BaseAdapter):
    """Answers URLs of the form ``demo://local/<protocol>/<operation>?model=<m>&stream=0|1``."""

    @override
    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: object = None,
        verify: object = True,
        cert: object = None,
        proxies: object = None,
    ) -> Response:
        """Answer at once; only the body may take its time. It never raises."""
        status = 200
        try:
            answer = _answer(_read_call(request))
        except GatewayError as error:
            codec = _codec_of(request)
            status = codec.error_status(error)
            answer = _whole(codec.encode_error(error, f"req_{uuid.uuid4().hex}"))
        response = Response()
        response.status_code = status
        response.reason = "OK" if status == 200 else "Refused"
        response.headers = CaseInsensitiveDict({"Content-Type": answer.content_type})
        response.raw = DemoBody(answer.pieces)
        response.url = request.url or ""
        response.request = request
        return response

    @override
    def close(self) -> None:
        """Nothing is kept open between calls."""


def _codec_of(request: PreparedRequest) -> Codec:
    return CODECS[urlsplit(request.url or "").path.strip("/").partition("/")[0]]


def _read_call(request: PreparedRequest) -> _Call:
    url = urlsplit(request.url or "")
    query = parse_qs(url.query)
    body = request.body or b"{}"
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadRequest("We could not parse the JSON body of your request.") from None
    if not isinstance(document, dict):
        raise BadRequest("The request body must be a JSON object.")
    return _Call(
        codec=_codec_of(request),
        operation=Operation(url.path.rpartition("/")[2]),
        model=query.get("model", [""])[0],
        stream=query.get("stream") == ["1"],
        framing=query.get("alt", [""])[0],
        request=document,
    )


def _answer(call: _Call) -> _Answer:
    operation = _OPERATIONS.get(call.operation)
    if operation is None:  # nothing is stored here, so nothing can be found again
        raise NotFound(f"There is no '{call.model}' here: demo models keep no answers.")
    return operation(call)


def _generate(call: _Call) -> _Answer:
    events = demo_events(
        call.model,
        call.request,
        call.codec.name,
        answer_id=_answer_id(),
        created_s=int(clock.epoch_s()),
    )
    shape = _shape(call.request)
    if not call.stream:
        return _at_once(call, events, lambda told: call.codec.encode_answer(told, shape))
    if call.codec.model_in_path and call.framing != "sse":
        return _paced(call, events, lambda told: as_array(call.codec.encode_stream(told)), _JSON)
    return _paced(call, events, lambda told: call.codec.encode_stream(told, shape), _EVENTS)


def _complete(call: _Call) -> _Answer:
    events = completion_events(
        call.model, call.request, answer_id=_answer_id(), created_s=int(clock.epoch_s())
    )
    if not call.stream:
        return _at_once(call, events, encode_completion)
    shape = _shape(call.request)
    return _paced(call, events, lambda told: encode_completion_stream(told, shape), _EVENTS)


def _count(call: _Call) -> _Answer:
    count = count_words(call.model, call.request, call.codec.name)
    if call.codec.model_in_path:
        details = [{"modality": "TEXT", "tokenCount": count}]
        return _document({"totalTokens": count, "promptTokensDetails": details})
    return _document({"input_tokens": count})


def _embed(call: _Call) -> _Answer:
    check_request(call.model, call.request, call.codec.name)
    if call.codec.model_in_path:
        values, words = _gemini_vector(call.request)
        usage = {"promptTokenCount": words, "totalTokenCount": words}
        return _document({"embedding": {"values": values}, "usageMetadata": usage})
    texts = texts_of(call.request, "input")
    size = _size(call.request, "dimensions")
    packed = call.request.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(text, size, packed)}
        for index, text in enumerate(texts)
    ]
    words = sum(len(text.split()) for text in texts) or 1
    usage = {"prompt_tokens": words, "total_tokens": words}
    return _document({"object": "list", "data": data, "model": call.model, "usage": usage})


def _batch_embed(call: _Call) -> _Answer:
    check_request(call.model, call.request, call.codec.name)
    requests = call.request.get("requests")
    if not isinstance(requests, list) or not requests:
        raise BadRequest("* BatchEmbedContentsRequest.requests: requests is not specified")
    found = [_gemini_vector(one if isinstance(one, dict) else {}) for one in requests]
    words = sum(count for _, count in found)
    return _document(
        {
            "embeddings": [{"values": values} for values, _ in found],
            "usageMetadata": {"promptTokenCount": words, "totalTokenCount": words},
        }
    )


def _gemini_vector(request: Json) -> tuple[list[float], int]:
    texts = gemini_texts(request.get("content"))
    if not texts:
        raise BadRequest("* EmbedContentRequest.content: content is not specified")
    text = "\n".join(texts)
    size = _size(request, "outputDimensionality", "output_dimensionality")
    return vector_of(text, size), len(text.split()) or 1


def _vector(text: str, size: int, packed: bool) -> list[float] | str:
    numbers = vector_of(text, size)
    return base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode() if packed else numbers


def _size(request: Json, *names: str) -> int:
    asked = next((request[name] for name in names if request.get(name) is not None), _DIMENSIONS)
    if not isinstance(asked, int) or not 1 <= asked <= _MOST_DIMENSIONS:
        raise BadRequest(
            f"`{names[0]}` must be between 1 and {_MOST_DIMENSIONS}.", details={"param": names[0]}
        )
    return asked


def _shape(request: Json) -> Shape:
    options = request.get("stream_options")
    asked = isinstance(options, dict) and options.get("include_usage") is True
    return Shape(include_usage=asked, echo=request)


def _answer_id() -> str:
    """No two answers share one; short enough that a call id made of it fits everywhere."""
    return uuid.uuid4().hex[:24]


def _document(value: Json) -> _Answer:
    return _whole(orjson.dumps(value))


def _whole(body: bytes, pause_s: float = 0.0) -> _Answer:
    return _Answer(_JSON, iter([(pause_s, body)]))


def _at_once(
    call: _Call, events: Iterable[Event], encode: Callable[[Iterable[Event]], bytes]
) -> _Answer:
    """A whole answer takes as long as its stream would."""
    told = list(events)
    words = sum(isinstance(event, Delta) for event in told)
    return _whole(encode(told), words * PACE_S if call.model == SLOW else 0.0)


def _paced(
    call: _Call,
    events: Iterator[Event],
    encode: Callable[[Iterable[Event]], Iterator[bytes]],
    content_type: str,
) -> _Answer:
    """A stream; the slow model waits before each frame that holds a word."""
    words = 0

    def counted() -> Iterator[Event]:
        nonlocal words
        for event in events:
            words += isinstance(event, Delta)
            yield event

    def pieces() -> Iterator[Piece]:
        seen = 0
        for frame in encode(counted()):
            yield (PACE_S if words > seen and call.model == SLOW else 0.0), frame
            seen = words

    return _Answer(content_type, pieces())


_OPERATIONS: Mapping[Operation, Callable[[_Call], _Answer]] = {
    Operation.GENERATE: _generate,
    Operation.COMPLETE: _complete,
    Operation.COUNT_TOKENS: _count,
    Operation.EMBED: _embed,
    Operation.BATCH_EMBED: _batch_embed,
}
