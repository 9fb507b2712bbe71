"""Token counts of requests for providers that cannot count; always estimates.

Text is counted with the vocabulary ``o200k_base``, whatever the model: other makers' vocabularies
give numbers within some ten per cent of it, and are not published. Media are counted by the rules
that each maker publishes, as far as the bytes tell what the rules ask for.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from typing import Any, Protocol, cast

from app import clock
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import Request, Tool

ANTHROPIC = "anthropic"
GOOGLE = "google"
OPENAI = "openai"

_PIECE = 64 << 10
"""Characters counted in one go, in about a millisecond; other greenlets run between two."""

_TURN = 3
_ANSWER = 3
"""What OpenAI's chat format puts around each message and in front of the answer.

Source: OpenAI Cookbook, "How to count tokens with tiktoken", from memory.
"""

_TOOL = 8
_CALL = 4
"""Names of members around a tool and a call; a guess."""


_EXTENSION = "bpe_openai._bindings"


class _Tokenizer(Protocol):
    def count(self, text: str) -> int: ...


def count_request(request: Request, issuer: str = OPENAI) -> int:
    """Estimate the input tokens of a request.

    The first call of a process loads the vocabulary: some 60 ms and 70 MB, once.

    Args:
        request: any; it need not be tidy.
        issuer: whose rules media are counted by: ``anthropic``, ``google``, ``openai``.
    """
    total = _ANSWER + _TURN * len(request.turns)
    texts: list[str] = []
    for part in _parts(request):
        total += _weigh(part, issuer, texts)
    for tool in request.tools:
        total += _TOOL
        texts.extend(_tool_texts(tool))
    if request.output.schema is not None:
        texts += (request.output.name, request.output.description, _json(request.output.schema))
    return total + sum(map(count_text, texts))


def count_text(text: str) -> int:
    """Count the tokens of a text, giving way to other greenlets when it is long."""
    if not text:
        return 0
    tokenizer = _tokenizer()
    total = 0
    for number, piece in enumerate(_pieces(text)):
        if number:
            clock.sleep(0)  # the counting itself holds the interpreter, even in a thread
        try:
            total += tokenizer.count(piece)
        except UnicodeEncodeError:  # half of a surrogate pair
            total += tokenizer.count(piece.encode("utf-8", "replace").decode())
    return total


@functools.cache
def _tokenizer() -> _Tokenizer:
    # The package's own front reads three vocabularies into Python objects when it is imported
    # (0.4 s, 70 MB more), makes a list of all ids to count them, and refuses a million
    # characters. The extension behind it has a plain `count`, so that alone is loaded; the
    # requirement is held to versions that have it.
    package = importlib.util.find_spec("bpe_openai")
    places = package.submodule_search_locations if package is not None else None
    spec = PathFinder.find_spec(_EXTENSION, places)
    if spec is None or spec.loader is None:
        raise ImportError(f"{_EXTENSION} is missing")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    return cast(_Tokenizer, extension.tokenizer_for_encoding("o200k_base"))


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text in front of white space where there is any, so that no word is torn."""
    start = 0
    while len(text) - start > _PIECE:
        end = start + _PIECE
        cut = max(text.rfind("\n", start + 1, end), text.rfind(" ", start + 1, end))
        end = cut if cut > end - 1024 else end
        yield text[start:end]
        start = end
    yield text[start:]


def _parts(request: Request) -> Iterator[Part]:
    for turn in request.turns:
        yield from turn.parts


def _weigh(part: Part, issuer: str, texts: list[str]) -> int:
    """Tokens of a part beside its texts, which are handed over."""
    match part:
        case Text(text) | Refusal(text) | Thinking(text):
            texts.append(text)
        case ToolCall():
            texts += (part.name, part.arguments)
            return _CALL
        case ToolResult():
            return _CALL + sum(_weigh(each, issuer, texts) for each in part.content)
        case Media():
            return _weigh_media(part, issuer, texts)
        case Opaque():
            texts.append(_json(part.raw))
    return 0


def _tool_texts(tool: Tool) -> Iterable[str]:
    yield tool.name
    yield tool.description
    yield _json(tool.schema) if tool.schema is not None else ""
    yield _json(tool.options) if tool.options else ""
    yield _json(tool.raw.raw) if tool.raw is not None else ""


def _json(value: object) -> str:
    try:
        return json.dumps(
            value, ensure_ascii=False, separators=(",", ":"), default=_plain, skipkeys=True
        )
    except (RecursionError, ValueError):  # too deep, or a loop; no body that was parsed has it
        return ""


def _plain(value: object) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


# Media ------------------------------------------------------------------------------------------

_PAGE = {ANTHROPIC: 2250, GOOGLE: 258, OPENAI: 1100}
"""Tokens of a PDF's page.

Sources, from memory: Anthropic "PDF support": 1,500 to 3,000 a page; Gemini API "Document
understanding": 258 a page. OpenAI sends text and a picture of each page; the number is a guess.
"""

_PAGE_BYTES = 50_000
_AUDIO_A_SECOND = {GOOGLE: 32, OPENAI: 10}
"""Gemini API "Audio understanding": 32 a second. OpenAI's is the rate of its audio models'
usage, one for each 100 ms; Claude takes no sound."""

_VIDEO_A_SECOND = 300
"""Gemini API "Video understanding": 258 a frame, one frame a second, and its sound."""

_AUDIO_BYTES_A_SECOND = 16_000  # 128 kbit/s
_VIDEO_BYTES_A_SECOND = 125_000
_SLOWEST = 1_000  # bytes a second that a file may claim to have
_UNKNOWN_S = 30

_CHUNK = 1 << 20  # of base64; a multiple of four
_JPEG_HEAD = 256 << 10
"""Base64 looked at for a JPEG's size, which stands behind previews and colour profiles."""

_PDF_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PDF_COUNT = re.compile(rb"/Count\s+(\d{1,6})(?!\d)")


def _weigh_media(media: Media, issuer: str, texts: list[str]) -> int:
    match media.kind:
        case MediaKind.IMAGE:
            return _image_tokens(media, issuer)
        case MediaKind.AUDIO:
            seconds = _seconds(media, _AUDIO_BYTES_A_SECOND)
            return math.ceil(seconds * _AUDIO_A_SECOND.get(issuer, 32))
        case MediaKind.VIDEO:
            return math.ceil(_seconds(media, _VIDEO_BYTES_A_SECOND) * _VIDEO_A_SECOND)
        case MediaKind.DOCUMENT:
            if media.mime.startswith("text/"):
                texts.append(_decoded(media.data).decode("utf-8", "replace"))
                return 0
            return _pages(media) * _PAGE.get(issuer, _PAGE[OPENAI])


def _image_tokens(media: Media, issuer: str) -> int:
    size = image_size(media.data)
    if issuer == ANTHROPIC:
        # Anthropic "Vision": width * height / 750; larger pictures are scaled down to some 1,600.
        return 1600 if size is None else min(1600, math.ceil(size[0] * size[1] / 750))
    if issuer == GOOGLE:
        return 258 * (1 if size is None else _gemini_tiles(*size))
    if media.detail == "low":
        return 85
    return 765 if size is None else 85 + 170 * _openai_tiles(*size)


def _openai_tiles(width: int, height: int) -> int:
    """How many squares of 512 a picture has.

    Source: OpenAI "Images and vision", from memory: made to fit into a square of 2048, then
    its shortest side brought down to 768.
    """
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height))
    across, down = (max(1, round(side * scale)) for side in (width, height))
    return math.ceil(across / 512) * math.ceil(down / 512)


def _gemini_tiles(width: int, height: int) -> int:
    """How many tiles Gemini cuts a picture into.

    Source: Gemini API "Image understanding", from memory: one up to 384 by 384, else each
    side divided by the shorter side over 1.5. That a tile has at least 256 is a guess, to keep
    a thin line from counting as thousands.
    """
    if max(width, height) <= 384:
        return 1
    unit = max(256, int(min(width, height) / 1.5))
    return math.ceil(width / unit) * math.ceil(height / unit)


def image_size(data: str) -> tuple[int, int] | None:
    """Width and height of a picture, read off its first bytes; None when they do not tell.

    Args:
        data: base64 of PNG, JPEG, GIF or WebP; only its beginning is decoded.
    """
    head = _decoded(data[:64])
    size = None
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        size = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    elif head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        size = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        size = _webp_size(head)
    elif head.startswith(b"\xff\xd8"):
        size = _jpeg_size(_decoded(data[:_JPEG_HEAD]))
    return size if size is not None and min(size) > 0 else None


def _webp_size(head: bytes) -> tuple[int, int] | None:
    """Source: RFC 9649, 2.5 to 2.7; RFC 6386, 9.1."""
    if len(head) < 30:
        return None
    match head[12:16]:
        case b"VP8 ":
            width, height = (int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
            return width + 1, height + 1
        case _:
            return None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walk a JPEG's segments to the one that begins a frame.

    Source: ITU-T T.81, B.1.1.3 and B.2.2: the frame markers are C0 to CF without C4, C8, CC.
    """
    place = 2
    while place + 9 <= len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if marker == 0xFF:  # fill
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(head[place + 5 : place + 7], "big")
            return int.from_bytes(head[place + 7 : place + 9], "big"), height
        place += 2 + max(2, int.from_bytes(head[place + 2 : place + 4], "big"))
    return None


def _pages(media: Media) -> int:
    """Pages of a PDF: those that stand in the open, else what its root says, else by size."""
    found = most = 0
    tail = b""
    for piece in _decoded_pieces(media.data):
        window = tail + piece
        # What ends within the tail has been seen with the piece before.
        found += sum(match.end() > len(tail) for match in _PDF_PAGE.finditer(window))
        most = max([most, *(int(match[1]) for match in _PDF_COUNT.finditer(window))])
        tail = window[-32:]
    return found or min(most, 10_000) or max(1, _size(media) // _PAGE_BYTES)


def _seconds(media: Media, bytes_a_second: int) -> float:
    """How long a recording lasts: a WAV says its rate, of others the usual one is taken."""
    if not media.data:
        return _UNKNOWN_S
    head = _decoded(media.data[:64])
    if head[:4] == b"RIFF" and head[8:16] == b"WAVEfmt ":
        # Source: Microsoft "Multimedia Programming Interface 1.0", WAVEFORMAT: bytes a second.
        bytes_a_second = max(_SLOWEST, int.from_bytes(head[28:32], "little"))
    return _size(media) / bytes_a_second


def _size(media: Media) -> int:
    return len(media.data) * 3 // 4


def _decoded_pieces(data: str) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        if start:
            clock.sleep(0)
        yield _decoded(data[start : start + _CHUNK])


def _decoded(data: str) -> bytes:
    """The bytes behind base64, as far as it is base64."""
    try:
        return base64.b64decode(data + "=" * (-len(data) % 4))
    except ValueError:  # binascii.Error is one
        return b""
