"""The usage of one exchange, read off a copy of the answer as it flows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from app.ir.events import Usage
from app.protocols.base import Codec, Operation, Progress

_BYTES_A_TOKEN = 4
"""English text and code lie near four bytes a token; only for what a provider did not tell."""

_METERED = frozenset(
    {
        Operation.GENERATE,
        Operation.COMPLETE,
        Operation.EMBED,
        Operation.BATCH_EMBED,
        Operation.COMPACT,
    }
)

_WRITING = frozenset({Operation.GENERATE, Operation.COMPLETE, Operation.COMPACT})


class Meter:
    """Counts what one exchange uses.

    What the provider says is taken as it is. Where it says nothing, because the answer was cut
    or the host reports no usage, the counts are estimated and marked.
    """

    __slots__ = (
        "_asked",
        "_codec",
        "_operation",
        "_request_bytes",
        "frames",
        "last",
        "passed_bytes",
        "progress",
    )

    def __init__(self, codec: Codec, operation: Operation, request_bytes: int) -> None:
        self._codec = codec
        self._operation = operation
        self._request_bytes = request_bytes
        self._asked = False
        self.last = b""
        self.frames = 0
        self.passed_bytes = 0
        self.progress = Progress()

    @property
    def tells(self) -> Callable[[bytes, Progress], bool]:
        """Whether ``read_frame`` would learn from a frame; for the loop over a stream."""
        return self._codec.tells

    def restart(self) -> None:
        """Forget an attempt that failed; another one begins."""
        self.progress = Progress()
        self.frames = 0
        self.last = b""
        self._asked = True
        self.passed_bytes = 0

    def forget(self) -> None:
        """Take an attempt as not made: the provider refused it, so it has cost nothing."""
        self.restart()
        self._asked = False

    def read_frame(self, frame: bytes) -> None:
        """Take one frame of a stream."""
        self.frames += 1
        self.last = frame
        if self._codec.tells(frame, self.progress):
            self.read()

    def read(self) -> None:
        """Learn from the last frame."""
        self.progress = self._codec.read_frame(self.last, self.progress)

    def read_answer(self, body: bytes) -> None:
        """Take a whole answer, or the start and the end of one that is too large to keep."""
        self.progress = self._codec.read_answer(body, self.progress)

    def usage(self) -> Usage:
        """The counts so far; all zero when no upstream did any work."""
        progress = self.progress
        if self.frames and not progress.finished:
            return self._usage_of_cut()
        if progress.usage is not None:
            return progress.usage
        if not self._asked or self._operation not in _METERED:
            return Usage()
        return Usage(
            input_tokens=math.ceil(self._request_bytes / _BYTES_A_TOKEN),
            output_tokens=self.frames or self._output_of_bytes(),
            estimated=True,
        )

    def _output_of_bytes(self) -> int:
        if self._operation not in _WRITING:  # the bytes of an embedding are no output
            return 0
        return math.ceil(self.passed_bytes / _BYTES_A_TOKEN)

    def _usage_of_cut(self) -> Usage:
        """What a stream has cost that ended early: interim counts, or a token for each frame."""
        progress = self._codec.read_frame(self.last, self.progress)
        interim = progress.usage or Usage(
            input_tokens=math.ceil(self._request_bytes / _BYTES_A_TOKEN)
        )
        missing = self.frames - interim.output_total
        return dataclasses.replace(
            interim, output_tokens=interim.output_tokens + max(0, missing), estimated=True
        )
