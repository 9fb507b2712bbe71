from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import clock
from app.accounting.count import (
    ANTHROPIC,
    GOOGLE,
    OPENAI,
    _tokenizer,
    count_request,
    count_text,
    image_size,
)
from app.ir.parts import (
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from app.ir.request import OutputFormat, OutputKind, Request, Role, Tool, ToolKind, Turn


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\6"


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\xf7\0\0"


def jpeg(width: int, height: int, *, before: int = 0) -> bytes:
    """A JPEG up to its frame header, behind so many bytes of profile."""
    segments = b"\xff\xe0\0\x10JFIF\0" + bytes(9)
    while before > 0:
        segments += b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000)
        before -= 60_000
    table = b"\xff\xc4\0\x04\0\0"
    frame = b"\xff\xff\xc2\0\x11\x08" + struct.pack(">HH", height, width) + bytes(12)
    return b"\xff\xd8" + segments + table + frame


def webp(kind: bytes, payload: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + kind + b"\0\0\0\0" + payload + bytes(20)


LOSSY = webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 640 | 0x4000, 480))
LOSSLESS = webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14))
EXTENDED = webp(b"VP8X", bytes(4) + (639).to_bytes(3, "little") + (479).to_bytes(3, "little"))


def asked(*parts: Part, **more: Any) -> Request:
    return Request("m", (Turn(Role.USER, parts),), **more)


EMPTY = count_request(asked())


def weight(*parts: Part, issuer: str = OPENAI, **more: Any) -> int:
    """What these parts add to a request."""
    return count_request(asked(*parts, **more), issuer) - EMPTY


def image(data: bytes, detail: str = "") -> Media:
    return Media(MediaKind.IMAGE, "image/png", data=b64(data), detail=detail)


def test_text_is_counted_as_the_vocabulary_has_it() -> None:
    # By OpenAI's own tokenizer: o200k_base.
    assert count_text("") == 0
    assert count_text("hello world") == 2
    assert count_text("antidisestablishmentarianism") == 6
    assert count_text("お誕生日おめでとう") == 8


def test_marks_of_a_vocabulary_are_text() -> None:
    assert count_text("<|endoftext|>") > 1


def test_a_long_text_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float] = []
    monkeypatch.setattr(clock, "sleep", rests.append)
    assert count_text("hello world\n" * 1000) == 3000
    assert rests == []
    assert count_text("hello world\n" * 100_000) == 300_000
    assert len(rests) >= 10
    assert set(rests) == {0}
    assert count_text("x" * 1_500_000) > 10_000


def test_half_a_surrogate_pair_counts_as_something() -> None:
    assert count_text("a \ud800 b") >= 3


def test_the_frame_around_messages() -> None:
    assert count_request(Request("m", ())) == 3
    assert EMPTY == 6
    talk = Request("m", (Turn(Role.USER, (Text("hello"),)),) * 3)
    assert count_request(talk) == 3 + 3 * 4


def test_every_kind_of_part_counts() -> None:
    assert weight(Text("hello")) == 1
    assert weight(Refusal("hello")) == 1
    assert weight(Thinking("hello", Seal("anthropic", "x" * 999))) == 1
    call = weight(ToolCall("c1", "look", '{"a":1}'))
    assert call > weight(Text("look")) + weight(Text('{"a":1}'))
    result = ToolResult("c1", (Text("hello"), image(png(512, 512))))
    assert weight(result) == 4 + 1 + 255
    assert weight(Opaque("openai_responses", "x", {"text": "hello"})) == count_text(
        '{"text":"hello"}'
    )


def test_tools_count_with_their_schemas() -> None:
    schema = MappingProxyType({"type": "object", "properties": MappingProxyType({"a": {}})})
    spelled = json.dumps({"type": "object", "properties": {"a": {}}}, separators=(",", ":"))
    tool = Tool("look", description="Looks", schema=schema)
    expected = 8 + count_text("look") + count_text("Looks") + count_text(spelled)
    assert weight(tools=(tool,)) == expected
    hosted = Tool(
        "search",
        ToolKind.OTHER,
        options={"max_uses": 3},
        raw=Opaque("x", "search", {"type": "search"}),
    )
    assert weight(tools=(hosted,)) > 8 + count_text("search")


def test_a_schema_for_the_answer_counts() -> None:
    output = OutputFormat(OutputKind.SCHEMA, "form", {"type": "object"}, description="a form")
    assert weight(output=output) > count_text('{"type":"object"}')


@pytest.mark.parametrize(
    "data",
    [
        png(640, 480),
        gif(640, 480),
        jpeg(640, 480),
        jpeg(640, 480, before=150_000),
        LOSSY,
        LOSSLESS,
        EXTENDED,
    ],
    ids=["png", "gif", "jpeg", "jpeg far", "webp", "webp lossless", "webp extended"],
)
def test_the_size_of_a_picture_is_read(data: bytes) -> None:
    assert image_size(b64(data + bytes(100))) == (640, 480)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nothing",
        png(640, 480)[:20],
        png(0, 480),
        gif(640, 480)[:8],
        LOSSY[:20],
        webp(b"ICCP", bytes(20)),
        b"\xff\xd8\xff\xe0\0\0\0\0\0\0\0\0\0\0\0",
        jpeg(640, 480, before=600_000),
        jpeg(640, 480)[:24],
        b"\xff\xd8\0\0\0\0\0\0\0\0\0\0\0",
    ],
)
def test_a_picture_that_does_not_tell_its_size(data: bytes) -> None:
    assert image_size(b64(data)) is None


def test_what_is_no_base64_has_no_size() -> None:
    assert image_size("ü") is None
    assert image_size("A") is None


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((512, 512), 255), ((1024, 1024), 765), ((2048, 4096), 1105), ((1, 8000), 765)],
)
def test_openai_counts_squares(size: tuple[int, int], tokens: int) -> None:
    # The second and third are the examples of OpenAI's page.
    assert weight(image(png(*size))) == tokens


def test_openai_has_a_price_for_little_detail() -> None:
    assert weight(image(png(1024, 1024), "low")) == 85
    assert weight(image(png(1024, 1024), "high")) == 765
    assert weight(Media(MediaKind.IMAGE, url="https://host.test/x.png")) == 765


@pytest.mark.parametrize(
    ("size", "tokens"), [((200, 200), 54), ((1000, 1000), 1334), ((4000, 4000), 1600)]
)
def test_claude_counts_pixels(size: tuple[int, int], tokens: int) -> None:
    # The first two are the examples of Anthropic's page.
    assert weight(image(png(*size)), issuer=ANTHROPIC) == tokens


def test_claude_without_a_size() -> None:
    assert weight(image(b"?"), issuer=ANTHROPIC) == 1600


@pytest.mark.parametrize(
    ("size", "tokens"), [((384, 384), 258), ((960, 540), 6 * 258), ((1, 3000), 12 * 258)]
)
def test_gemini_counts_tiles(size: tuple[int, int], tokens: int) -> None:
    # The second is the example of the Gemini API's page.
    assert weight(image(png(*size)), issuer=GOOGLE) == tokens


def test_gemini_without_a_size() -> None:
    assert weight(image(b"?"), issuer=GOOGLE) == 258


def document(data: bytes, mime: str = "application/pdf") -> Media:
    return Media(MediaKind.DOCUMENT, mime, data=b64(data))


PAGES = b"/Type /Pages /Count 3 " + b"<< /Type /Page >> " * 2 + b"<</Type/Page/Parent 1 0 R>>"


@pytest.mark.parametrize("shift", [0, 786_432 - 30, 786_432 - 60, 786_432])
def test_pages_of_a_pdf(shift: int) -> None:
    """Also where the end of a piece that is decoded at once goes through them."""
    pdf = b"%PDF-1.7 " + b" " * shift + PAGES
    assert weight(document(pdf), issuer=GOOGLE) == 3 * 258
    assert weight(document(pdf), issuer=ANTHROPIC) == 3 * 2250
    assert weight(document(pdf), issuer=OPENAI) == 3 * 1100


def test_pages_that_are_packed_away() -> None:
    assert weight(document(b"%PDF /Type /Pages /Count 7 >>"), issuer=GOOGLE) == 7 * 258
    assert weight(document(b"%PDF" + bytes(200_000)), issuer=GOOGLE) == 4 * 258
    assert weight(Media(MediaKind.DOCUMENT, file_id="f"), issuer=GOOGLE) == 258


def test_a_document_of_text_counts_as_text() -> None:
    assert weight(document(b"hello world", "text/plain")) == 2


def wav(seconds: int, rate: int = 32_000) -> bytes:
    head = b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, rate, 2, 16)
    return head + b"data" + bytes(seconds * rate)


def sound(data: bytes) -> Media:
    return Media(MediaKind.AUDIO, "audio/wav", data=b64(data))


def test_sound_counts_by_the_second() -> None:
    assert weight(sound(wav(10)), issuer=GOOGLE) == pytest.approx(320, abs=2)
    assert weight(sound(wav(10)), issuer=OPENAI) == pytest.approx(100, abs=2)
    assert weight(sound(bytes(160_000)), issuer=GOOGLE) == pytest.approx(320, abs=2)
    assert weight(sound(wav(0, rate=1)), issuer=GOOGLE) < 10
    assert weight(Media(MediaKind.AUDIO, file_id="f"), issuer=GOOGLE) == 960


def test_films_count_by_the_second() -> None:
    film = Media(MediaKind.VIDEO, "video/mp4", data=b64(bytes(1_250_000)))
    assert weight(film, issuer=GOOGLE) == pytest.approx(3000, abs=2)


def test_what_json_cannot_say_breaks_nothing() -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    loop: dict[str, object] = {}
    loop["loop"] = loop
    odd = {"set": {1}, ("a",): 1, "nan": float("nan"), "big": 2**80}
    for raw in (deep, loop, odd):
        assert weight(Opaque("x", "y", raw)) >= 0  # type: ignore[arg-type]


def test_the_vocabulary_alone_is_loaded_and_only_when_needed() -> None:
    program = (
        "import sys\n"
        "from app.accounting.count import _tokenizer, count_text\n"
        "count_text('')\n"
        "assert _tokenizer.cache_info().currsize == 0\n"
        "assert count_text('hello world') == 2\n"
        "assert 'bpe_openai' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_a_package_without_its_extension_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.accounting.count._EXTENSION", "bpe_openai.nothing")
    _tokenizer.cache_clear()
    with pytest.raises(ImportError):
        count_text("x")


def values() -> st.SearchStrategy[Any]:
    plain = st.none() | st.booleans() | st.integers() | st.floats() | words()
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words(), inner, max_size=3),
        max_leaves=5,
    )


def words() -> st.SearchStrategy[str]:
    return st.text(max_size=20)  # with halves of surrogate pairs


def objects() -> st.SearchStrategy[Any]:
    return st.dictionaries(words(), values(), max_size=3)


def payloads() -> st.SearchStrategy[str]:
    begins = st.sampled_from(
        [b"", png(3, 4), gif(3, 4), jpeg(3, 4), LOSSY, LOSSLESS, EXTENDED, wav(0), b"%PDF" + PAGES]
    )
    cut = st.builds(
        lambda data, end, more: b64(data[:end] + more), begins, st.integers(0, 80), st.binary()
    )
    return cut | words()


def media() -> st.SearchStrategy[Media]:
    mimes = st.sampled_from(["", "image/png", "text/plain", "application/pdf", "audio/wav"])
    return st.builds(Media, st.sampled_from(MediaKind), mime=mimes, data=payloads(), detail=words())


def parts() -> st.SearchStrategy[Part]:
    texts = st.builds(Text, words())
    return st.one_of(
        texts,
        media(),
        st.builds(Refusal, words()),
        st.builds(Thinking, words()),
        st.builds(ToolCall, words(), words(), words()),
        st.builds(ToolResult, words(), st.lists(texts | media(), max_size=3).map(tuple)),
        st.builds(Opaque, words(), words(), objects()),
    )


def requests() -> st.SearchStrategy[Request]:
    raw = st.none() | st.builds(Opaque, words(), words(), objects())
    tools = st.builds(
        Tool,
        words(),
        st.sampled_from(ToolKind),
        words(),
        schema=st.none() | objects(),
        options=objects(),
        raw=raw,
    )
    outputs = st.builds(OutputFormat, st.sampled_from(OutputKind), words(), st.none() | objects())
    turns = st.builds(Turn, st.sampled_from(Role), st.lists(parts(), max_size=4).map(tuple))
    return st.builds(
        Request,
        words(),
        st.lists(turns, max_size=3).map(tuple),
        tools=st.lists(tools, max_size=2).map(tuple),
        output=outputs,
    )


@given(request=requests(), issuer=st.sampled_from([ANTHROPIC, GOOGLE, OPENAI, "", "else"]))
@settings(deadline=None, max_examples=200)
def test_any_request_can_be_counted(request: Request, issuer: str) -> None:
    assert count_request(request, issuer) >= 3
