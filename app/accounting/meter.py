"""The usage of one exchange, read off a copy of the answer as it flows."""

from __future__ import annotations

import math

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


class Meter:
    """Counts what one exchange uses.

    What the provider says is taken as it is. Where it says nothing, because the answer was cut
    or the host reports no usage, the counts are estimated and marked.
    """

    __slots__ = ("_asked", "_codec", "_frames", "_operation", "_request_bytes", "progress")

    def __init__(self, codec: Codec, operation: Operation, request_bytes: int) -> None:
        self._codec = codec
        self._operation = operation
        self._request_bytes = request_bytes
        self._frames = 0
        self._asked = False
        self.progress = Progress()

    def restart(self) -> None:
        """Forget an attempt that failed; another one begins."""
        self.progress = Progress()
        self._frames = 0
        self._asked = True

    def read_frame(self, frame: bytes) -> None:
        """Take one frame of a stream."""
        self._frames += 1
        for mark in self._codec.marks:
            if mark in frame:
                self.progress = self._codec.read_frame(frame, self.progress)
                return

    def read_answer(self, body: bytes) -> None:
        """Take a whole answer, or the end of one that is too large to keep."""
        self.progress = self._codec.read_answer(body, self.progress)

    def usage(self) -> Usage:
        """The counts so far; all zero when no upstream did any work."""
        if self.progress.usage is not None:
            return self.progress.usage
        if not self._asked or self._operation not in _METERED:
            return Usage()
        return Usage(
            input_tokens=math.ceil(self._request_bytes / _BYTES_A_TOKEN),
            output_tokens=self._frames,
            estimated=True,
        )
