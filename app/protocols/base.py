"""What every protocol must do, and the words they share."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from app.errors import GatewayError, UpstreamError
from app.ir.events import Event, Usage
from app.ir.parts import MediaKind
from app.ir.request import Loss, Request
from app.ir.traits import UNKNOWN, Traits
from app.protocols.names import NO_NAMES, ToolNames
from app.protocols.seals import PACKED
from app.wire.sse import data_of


class Operation(enum.Enum):
    """What a client asks of a model."""

    GENERATE = "generate"
    COMPLETE = "complete"  # the legacy /v1/completions
    COUNT_TOKENS = "count_tokens"
    EMBED = "embed"
    BATCH_EMBED = "batch_embed"
    COMPACT = "compact"
    GET_RESPONSE = "get_response"
    DELETE_RESPONSE = "delete_response"
    CANCEL_RESPONSE = "cancel_response"
    LIST_INPUT_ITEMS = "list_input_items"


@dataclass(frozen=True, slots=True)
class Peek:
    """The little of a request that steers it; the rest is not parsed.

    ``continues`` is the id of an earlier answer that this request builds on, if any: only the
    credential that gave that answer can go on with it. ``thread`` says that the provider is asked
    to keep the conversation. ``wants_usage`` is False when the client left out the switch without
    which a stream carries no usage.
    """

    model: str
    stream: bool = False
    continues: str = ""
    wants_usage: bool = True
    thread: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """What has been read so far off the copy of a relayed answer.

    ``finished`` means the protocol's own end has been seen; an answer that stops before it was
    cut. ``last`` means nothing may follow any more. ``failure`` is an error the provider put
    into the stream.
    """

    usage: Usage | None = None
    finished: bool = False
    last: bool = False
    answer_id: str = ""
    failure: UpstreamError | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a request decides how its answer is written.

    ``include_usage`` matters to Chat streams alone. ``echo`` is the request as JSON, for a
    protocol whose answers repeat what was asked.
    """

    include_usage: bool = True
    echo: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


PLAIN = Shape()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One entry of a model list. ``created_s`` is Unix time, 0 when unknown."""

    id: str
    owned_by: str
    created_s: int = 0
    display_name: str = ""
    input_limit: int = 0
    output_limit: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a request is written for.

    Attributes:
        model: the upstream's name.
        traits: of that model.
        is_official: the protocol's own maker, which knows all of its members; other hosts know
            the common ones (a Chat host gets ``max_tokens``, no ``developer`` role, and so on).
        include_usage: whether a Chat host may be asked for usage in streams.
    """

    model: str
    traits: Traits = UNKNOWN
    is_official: bool = True
    include_usage: bool = True


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request in a protocol's own words.

    ``names`` brings the tool names of the answer back to those of the client.
    """

    body: bytes
    losses: tuple[Loss, ...] = ()
    names: ToolNames = NO_NAMES


class Codec(ABC):
    """One protocol, for clients and for upstreams."""

    name: ClassVar[str]
    issuer: ClassVar[str]
    """Who makes the seals of this protocol: ``anthropic``, ``openai``, ``google``."""

    media_by_url: ClassVar[frozenset[MediaKind]] = frozenset()
    """What an upstream of this protocol fetches by itself; all else must be sent as bytes."""

    heartbeat: ClassVar[bytes] = b": keep-alive\n\n"
    """Bytes a waiting stream may hold between two frames without any client minding."""

    marks: ClassVar[tuple[bytes, ...]]
    """What the frames that matter hold; see ``tells``."""

    model_in_path: ClassVar[bool] = False

    ends_by_close: ClassVar[bool] = False
    """True when a stream has no end mark: the end of the connection is the end of the answer."""

    @abstractmethod
    def peek(self, body: bytes | bytearray, operation: Operation) -> Peek:
        """Read what steers a request.

        Raises:
            BadRequest: it is not a JSON object, or a member has the wrong type.
        """

    def tells(self, frame: bytes, progress: Progress) -> bool:
        """Whether ``read_frame`` could learn from this frame.

        Ordinary content is passed over. What it may hold of interim usage counts only when the
        stream is cut: then the last whole frame should be read whatever this says.
        """
        if progress.finished:  # the few frames behind the end are all of interest
            return True
        for mark in self.marks:  # noqa: SIM110  any() costs twice as much
            if mark in frame:
                return True
        return False

    @abstractmethod
    def read_frame(self, frame: bytes, progress: Progress) -> Progress:
        """Learn from one server-sent frame, given whole; what cannot be read teaches nothing."""

    @abstractmethod
    def read_answer(self, body: bytes, progress: Progress) -> Progress:
        """Learn from an answer that was not streamed.

        Args:
            body: all of it, or of a huge one the last 64 KiB; its first bytes may stand in front.
            progress: what is known already.
        """

    foreign: ClassVar[tuple[bytes, ...]] = (PACKED,)
    """What a request holds when a part of its history came from another protocol through us."""

    def holds_marks(self, body: bytes | bytearray) -> bool:
        """Whether a part of a request's history came from another protocol through us."""
        return any(mark in body for mark in self.foreign)

    @abstractmethod
    def decode_request(
        self, body: bytes | bytearray, operation: Operation, *, model: str, stream: bool
    ) -> Request:
        """Read a client's request.

        Args:
            body: as it came, already peeked at.
            operation: generating or counting; both hold the same request.
            model: as the client named it.
            stream: whether the client wants a stream.

        Raises:
            BadRequest: a member has the wrong shape; the message names it.
        """

    @abstractmethod
    def encode_request(self, request: Request, target: Target) -> Encoded:
        """Write a request for an upstream. ``request`` is tidy, see ``app.ir.tidy``.

        Raises:
            Untranslatable: it holds content that this protocol or this model cannot be given;
                the message names it. A knob is a loss instead.
        """

    @abstractmethod
    def decode_answer(self, body: bytes) -> Iterator[Event]:
        """Read an upstream's whole answer as events, the same that its stream would give.

        Raises:
            Garbled: it is no answer of this protocol.
            UpstreamError: it is an error inside a 200.
        """

    @abstractmethod
    def decode_stream(self, frames: Iterable[bytes]) -> Iterator[Event]:
        """Read an upstream's stream, frame by frame, each event as soon as it is known.

        An empty frame means that nothing more has come for now and becomes ``Flush``. The end
        of the frames before the protocol's own end gives no ``Finish``, so that ``check`` sees it.

        Raises:
            Garbled: a frame is no frame of this protocol.
            UpstreamError: the upstream put an error into the stream.
        """

    @abstractmethod
    def error_status(self, error: GatewayError) -> int:
        """The HTTP status this protocol gives an error."""

    @abstractmethod
    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        """The JSON body of an error, as this protocol's own SDKs expect it."""

    @abstractmethod
    def encode_stream_error(
        self, error: GatewayError, request_id: str, *, sequence: int = 0
    ) -> bytes:
        """The last bytes of a stream that broke after it began.

        ``sequence`` is the number of frames sent before; protocols that count events go on there.
        """

    @abstractmethod
    def encode_answer(self, events: Iterable[Event], shape: Shape = PLAIN) -> bytes:
        """A whole answer as one JSON body.

        Raises:
            Garbled: the events break their grammar.
        """

    @abstractmethod
    def encode_stream(self, events: Iterable[Event], shape: Shape = PLAIN) -> Iterator[bytes]:
        """An answer as server-sent frames, each yielded as soon as its event is known."""

    @abstractmethod
    def encode_models(self, models: Sequence[ModelInfo]) -> bytes:
        """The body of a model list."""

    @abstractmethod
    def encode_model(self, model: ModelInfo) -> bytes:
        """The body of one model's entry."""

    def is_usage_extra(self, frame: bytes) -> bool:
        """Whether a frame exists only because usage was asked for, and tells nothing else."""
        return False

    def data(self, frame: bytes) -> bytes:
        """The payload of a frame."""
        return data_of(frame)
