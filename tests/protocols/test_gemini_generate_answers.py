"""Gemini answers, read from upstreams and written for clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Garbled, Overloaded, QuotaExhausted, UpstreamError
from app.ir.events import (
    Cite,
    Delta,
    Event,
    Finish,
    FinishReason,
    Flush,
    Open,
    PartKind,
    Shut,
    Start,
    Usage,
    UsageEvent,
    check,
)
from app.ir.fold import Answer, fold
from app.ir.parts import Citation, Media, MediaKind, Seal
from app.protocols.gemini_generate import GeminiGenerate, as_array
from app.protocols.seals import pack
from app.wire.sse import FrameCutter
from tests.protocols.clients import EVENTS, gemini_client

CODEC = GeminiGenerate()
SEAL = Seal("google", "c2ln")
CLAUDES = Seal("anthropic", "EqQB")
BEGIN = Start("r1", "g", 0)
END: dict[str, Any] = {"finishReason": "STOP"}


def chunk(*parts: Any, **more: Any) -> dict[str, Any]:
    """A chunk with these parts; ``more`` stands beside them in the candidate."""
    content = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    return {"candidates": [content | more], "modelVersion": "g", "responseId": "r1"}


def frame(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\r\n\r\n"


def streamed(*documents: Any) -> list[Event]:
    return list(check(CODEC.decode_stream(map(frame, documents))))


def answer(*documents: Any) -> Answer:
    """What a stream means; the same chunks as one list must mean the same."""
    found = fold(CODEC.decode_stream(map(frame, documents)))
    assert fold(CODEC.decode_answer(json.dumps(documents).encode())) == found
    return found


def kinds(found: Answer) -> list[tuple[PartKind, str, Seal | None]]:
    return [(part.kind, part.text, part.seal) for part in found.parts]


def said(*parts: list[Event], reason: FinishReason = FinishReason.STOP) -> list[Event]:
    return [BEGIN, *(event for part in parts for event in part), Finish(reason)]


def text(words: str, seal: Seal | None = None) -> list[Event]:
    return [Open(PartKind.TEXT), Delta(words), Shut(seal)]


def call(arguments: str = "{}", call_id: str = "c1", seal: Seal | None = None) -> list[Event]:
    return [Open(PartKind.TOOL_CALL, call_id, "f"), Delta(arguments), Shut(seal)]


def written(events: list[Event]) -> list[Any]:
    """The documents of a stream; its frames fold to what the whole answer says."""
    frames = list(CODEC.encode_stream(events))
    whole = fold(CODEC.decode_answer(CODEC.encode_answer(events)))
    assert fold(CODEC.decode_stream(frames)) == whole
    return [json.loads(CODEC.data(one)) for one in frames if one]


# --- reading ---------------------------------------------------------------------------------

F = {"functionCall": {"name": "f", "args": {}}}


def test_the_pieces_of_one_kind_are_one_part() -> None:
    found = answer(
        chunk({"text": "I ", "thought": True}),
        chunk({"text": "think", "thought": True}),
        chunk({"text": "a"}, {"text": "b"}),
        chunk({"text": "c"}, **END),
    )
    assert kinds(found) == [(PartKind.THINKING, "I think", None), (PartKind.TEXT, "abc", None)]
    assert (found.answer_id, found.model, found.reason) == ("r1", "g", FinishReason.STOP)


def test_events_come_as_soon_as_they_are_known() -> None:
    frames = [frame(chunk({"text": "a"})), b"", frame(chunk({"text": "b"}, **END))]
    assert list(CODEC.decode_stream(frames)) == [
        BEGIN,
        Open(PartKind.TEXT),
        Delta("a"),
        Flush(),
        Delta("b"),
        Shut(),
        Finish(FinishReason.STOP),
    ]


def test_calls_come_whole_with_ids_made_when_missing() -> None:
    found = answer(
        chunk({"functionCall": {"name": "f", "args": {"n": 2**70}}, "thoughtSignature": "c2ln"}, F),
        chunk({"functionCall": {"name": "g", "id": "own"}}, **END),
    )
    assert [(part.call_id, part.name, part.text, part.seal) for part in found.parts] == [
        ("call_r1_0", "f", '{"n":1180591620717411303424}', SEAL),
        ("call_r1_1", "f", "{}", None),
        ("own", "g", "{}", None),
    ]
    assert found.reason is FinishReason.TOOL_CALLS


SIGN = {"text": "", "thoughtSignature": "c2ln"}


@pytest.mark.parametrize(
    ("parts", "read"),
    [
        ([{"text": "a", "thoughtSignature": "c2ln"}], [(PartKind.TEXT, "a", SEAL)]),
        ([{"text": "a"}, SIGN], [(PartKind.TEXT, "a", SEAL)]),
        ([F, SIGN], [(PartKind.TOOL_CALL, "{}", SEAL)]),
        ([F | {"thoughtSignature": "c2ln"}, SIGN], [
            (PartKind.TOOL_CALL, "{}", SEAL),
            (PartKind.TEXT, "", SEAL),
        ]),
        ([{"text": "t", "thought": True}, SIGN], [(PartKind.THINKING, "t", SEAL)]),
        ([{"thoughtSignature": "c2ln"}], [(PartKind.TEXT, "", SEAL)]),
        ([{"text": "a", "thoughtSignature": "c2ln"}, {"text": "b"}], [
            (PartKind.TEXT, "a", SEAL),
            (PartKind.TEXT, "b", None),
        ]),
        ([{"text": "", "thought": True, "thoughtSignature": pack(CLAUDES, "google")}], [
            (PartKind.THINKING, "", CLAUDES),
        ]),
        ([{"text": ""}, {"text": "", "thought": True}], []),
    ],
)  # fmt: skip
def test_seals_stay_with_their_part(parts: list[Any], read: list[Any]) -> None:
    assert kinds(answer(*[chunk(part) for part in parts], chunk(**END))) == read


def test_media_and_code_of_the_service() -> None:
    found = answer(
        chunk({"inlineData": {"mimeType": "image/png", "data": "AAAA"}, "thought": True}),
        chunk({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        chunk({"fileData": {"fileUri": "files/x", "mimeType": "video/mp4"}}),
        chunk({"executableCode": {"language": "PYTHON", "code": "1 + 1"}}),
        chunk({"codeExecutionResult": {"output": "2"}}),
        chunk({"toolCall": {}}, **END),
    )
    assert [part.media for part in found.parts] == [
        Media(MediaKind.IMAGE, "image/png", data="AAAA"),
        Media(MediaKind.VIDEO, "video/mp4", file_id="files/x", issuer="google"),
        None,
    ]
    assert found.parts[2].text == "\n```python\n1 + 1\n```\n\n```\n2\n```\n"
    assert found.reason is FinishReason.STOP


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        *((word, FinishReason.REFUSAL) for word in (
            "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY",
            "MODEL_ARMOR", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION",
        )),
        *((word, FinishReason.STOP) for word in ("LANGUAGE", "OTHER", "NO_IMAGE", "NEWER")),
        *((word, FinishReason.STOP) for word in (
            "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS",
            "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE",
        )),
    ],
)  # fmt: skip
def test_reasons(word: str, reason: FinishReason) -> None:
    found = answer(chunk({"text": "a"}, finishReason=word, finishMessage="why"))
    assert (found.reason, found.detail) == (reason, "why" if reason is FinishReason.REFUSAL else "")
    called = answer(chunk(F, finishReason=word)).reason
    assert called is (FinishReason.TOOL_CALLS if reason is FinishReason.STOP else reason)


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "MISSING_THOUGHT_SIGNATURE"])
def test_a_stumble_before_any_output_is_an_error(word: str) -> None:
    for parts in ((), ({"text": "hm", "thought": True},)):
        with pytest.raises(Garbled, match=word):
            streamed(chunk(*parts, finishReason=word))


def test_a_blocked_prompt_is_a_refusal() -> None:
    feedback = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4},
    }
    found = answer(feedback)
    assert (found.reason, found.detail, found.parts) == (FinishReason.REFUSAL, "SAFETY", ())
    assert found.usage == Usage(input_tokens=4)


def test_usage_is_cumulative_and_may_come_last() -> None:
    last = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 155,
    }
    events = streamed(
        chunk({"text": "a"}) | {"usageMetadata": {"promptTokenCount": 100}},
        chunk({"text": "b"}) | {"usageMetadata": {"promptTokenCount": 100}},
        chunk(**END),
        {"usageMetadata": last},
    )
    told = [event.usage for event in events if isinstance(event, UsageEvent)]
    assert told == [
        Usage(input_tokens=100),
        Usage(input_tokens=45, cache_read_tokens=60, output_tokens=20, reasoning_tokens=30),
    ]


def test_offsets_of_sources_become_characters() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}, {"maps": {"uri": "m"}}, {}],
        "groundingSupports": [
            {"segment": {"endIndex": 6}, "groundingChunkIndices": [0, 1, 2, 9]},
            {"segment": {"startIndex": 7, "endIndex": 999}, "groundingChunkIndices": [0]},
        ],
    }
    found = answer(
        chunk({"text": "Größ"}, groundingMetadata=grounding),
        chunk({"text": "e x"}, groundingMetadata=grounding),
        chunk(groundingMetadata=grounding, **END),
    )
    assert found.parts[0].citations[:3] == (
        Citation("u", "t", 0, 4),
        Citation("m", "", 0, 4),
        Citation("u", "t", 4, 4),
    )
    assert found.parts[0].citations[-1] == Citation("u", "t", 5, 7)
    bare = {"groundingChunks": [{"web": {"uri": "u"}}]}
    recited = {"citationSources": [{"startIndex": 0, "endIndex": 1, "uri": "v"}, {"license": "x"}]}
    shown = answer(chunk({"text": "ab"}, groundingMetadata=bare, citationMetadata=recited, **END))
    assert shown.parts[0].citations == (Citation("u"), Citation("v", "", 0, 1))


def test_only_the_first_candidate_counts() -> None:
    first, second = {"content": {"parts": [{"text": "a"}]}, **END}, {"index": 1, **END}
    second["content"] = {"parts": [{"text": "b"}]}
    assert kinds(answer({"candidates": [first, second]})) == [(PartKind.TEXT, "a", None)]


def test_a_whole_document_needs_no_reason_but_content() -> None:
    events = CODEC.decode_answer(json.dumps(chunk({"text": "a"})).encode())
    assert fold(events).reason is FinishReason.STOP
    with pytest.raises(Garbled):
        fold(CODEC.decode_answer(b'{"usageMetadata":{"promptTokenCount":1}}'))


@pytest.mark.parametrize("document", [{}, chunk(), chunk({"text": "a"}), {"candidates": []}])
def test_a_stream_without_its_reason_was_cut(document: Any) -> None:
    with pytest.raises(Garbled):
        streamed(document)


@pytest.mark.parametrize("data", [b"{", b"7", b'{"candidates":7}', b"\xff", b'[{"candidates"'])
def test_what_is_no_answer_is_garbled(data: bytes) -> None:
    with pytest.raises(Garbled):
        list(CODEC.decode_answer(data))
    with pytest.raises(Garbled):
        list(CODEC.decode_stream([b"data: " + data + b"\n\n"]))


def test_a_medium_without_content_is_garbled() -> None:
    with pytest.raises(Garbled):
        streamed(chunk({"inlineData": {"mimeType": "image/png"}}, **END))


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "x"}}, QuotaExhausted),
        ([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "x"}}], Overloaded),
        ({"code": 500, "message": "x"}, UpstreamError),
    ],
)
def test_errors_inside_an_answer_are_raised(document: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        list(CODEC.decode_answer(json.dumps(document).encode()))
    with pytest.raises(kind):
        list(CODEC.decode_stream([frame(chunk({"text": "a"})), frame(document)]))
    with pytest.raises(kind):
        list(CODEC.decode_stream([json.dumps(document).encode()]))


def test_comments_and_foreign_end_marks_are_passed_over() -> None:
    frames = [b": hi\n\n", b"\n", frame(chunk({"text": "a"}, **END)), b"data: [DONE]\n\n"]
    assert fold(CODEC.decode_stream(frames)).parts[0].text == "a"


def test_the_time_of_an_answer() -> None:
    document = chunk({"text": "a"}, **END) | {"createTime": "2026-01-31T12:00:00.123456789Z"}
    assert answer(document).created_s == 1769860800


# --- writing ---------------------------------------------------------------------------------


def test_only_the_last_chunk_has_reason_and_counts() -> None:
    usage = Usage(input_tokens=3, output_tokens=2)
    events = said(text("a"), call('{"n":1180591620717411303424}', seal=SEAL))
    events.insert(-1, UsageEvent(usage))
    documents = written(events)
    assert ["finishReason" in one["candidates"][0] for one in documents] == [False, False, True]
    assert documents[1]["candidates"][0]["content"]["parts"] == [
        {
            "functionCall": {"id": "c1", "name": "f", "args": {"n": 2**70}},
            "thoughtSignature": "c2ln",
        }
    ]
    assert documents[-1]["usageMetadata"]["totalTokenCount"] == 5


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (FinishReason.STOP, "STOP"),
        (FinishReason.TOOL_CALLS, "STOP"),
        (FinishReason.PAUSE, "STOP"),
        (FinishReason.LENGTH, "MAX_TOKENS"),
        (FinishReason.WINDOW, "MAX_TOKENS"),
        (FinishReason.REFUSAL, "SAFETY"),
    ],
)
def test_reasons_are_written(reason: FinishReason, word: str) -> None:
    assert written(said(text("a"), reason=reason))[-1]["candidates"][0]["finishReason"] == word


def test_refusals_are_text_with_safety() -> None:
    refusal: list[Event] = [Open(PartKind.REFUSAL), Delta("no"), Shut()]
    documents = written([BEGIN, *refusal, Finish(FinishReason.STOP, detail="why")])
    assert documents[0]["candidates"][0]["content"]["parts"] == [{"text": "no"}]
    assert documents[1]["candidates"][0]["finishReason"] == "SAFETY"
    assert documents[1]["candidates"][0]["finishMessage"] == "why"
    whole = json.loads(CODEC.encode_answer([BEGIN, *refusal, Finish(FinishReason.STOP)]))
    assert whole["candidates"][0]["finishReason"] == "SAFETY"


@pytest.mark.parametrize("redacted", [False, True])
def test_foreign_thinking_comes_back_with_its_seal(redacted: bool) -> None:
    words: list[Event] = [] if redacted else [Delta("hm")]
    events = said([Open(PartKind.THINKING), *words, Shut(CLAUDES, redacted=redacted)], text("a"))
    for found in (
        fold(CODEC.decode_stream(CODEC.encode_stream(events))),
        fold(CODEC.decode_answer(CODEC.encode_answer(events))),
    ):
        assert found.parts == fold(events).parts


def test_media_are_written() -> None:
    def shown(media: Media) -> Any:
        documents = written(said([Open(PartKind.MEDIA, media=media), Shut()], text("a")))
        return documents[0]["candidates"][0]["content"]["parts"][0]

    inline = Media(MediaKind.IMAGE, "image/png", data="AAAA")
    assert shown(inline) == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    linked = Media(MediaKind.IMAGE, url="https://example.com/a.png")
    assert shown(linked)["fileData"]["fileUri"] == "https://example.com/a.png"
    foreign = Media(MediaKind.DOCUMENT, file_id="file-1", issuer="openai", name="a.pdf")
    assert shown(foreign) == {"text": "a.pdf"}


def test_sources_are_written_in_bytes() -> None:
    part: list[Event] = [
        Open(PartKind.TEXT),
        Delta("Größe x"),
        Cite(Citation("u", "t", 6, 7)),
        Shut(),
    ]
    (candidate,) = written(said(part))[-1]["candidates"]
    assert candidate["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "u", "title": "t"}}],
        "groundingSupports": [
            {
                "segment": {"startIndex": 8, "endIndex": 9, "text": "x"},
                "groundingChunkIndices": [0],
            }
        ],
    }
    found = fold(CODEC.decode_answer(CODEC.encode_answer(said(part))))
    assert found.parts[0].citations == (Citation("u", "t", 6, 7),)


@pytest.mark.parametrize("arguments", ['{"a', "[1]", "7"])
def test_a_call_that_is_no_object_is_malformed(arguments: str) -> None:
    documents = list(CODEC.encode_stream(said(text("a"), call(arguments))))
    assert b"MALFORMED_FUNCTION_CALL" in documents[-1]
    cut = list(CODEC.encode_stream(said(call(arguments), reason=FinishReason.LENGTH)))
    assert b"MAX_TOKENS" in cut[-1]


def test_an_array_lets_flushes_through() -> None:
    events = [BEGIN, Flush(), *said(text("a"))[1:]]
    pieces = list(as_array(CODEC.encode_stream(events)))
    assert pieces[0] == b""
    assert len(json.loads(b"".join(pieces))) == 2


NASTY = "a\u2028b\u2029c\x85d\x0b\x1ee 𝔘 \r\n"


def test_the_sdk_reads_lines_with_odd_ends() -> None:
    arguments = json.dumps({"s": NASTY, "n": 2**53 + 1}, ensure_ascii=False)
    thought: list[Event] = [Open(PartKind.THINKING), Delta("hm"), Shut(CLAUDES)]
    media = Media(MediaKind.IMAGE, "image/png", data="AAAA")
    events = said(
        thought,
        text(NASTY),
        [Open(PartKind.MEDIA, media=media), Shut()],
        call(arguments),
        reason=FinishReason.TOOL_CALLS,
    )
    body = b"".join(CODEC.encode_stream(events))
    chunks = list(
        gemini_client(body, kind=EVENTS).models.generate_content_stream(model="m", contents="x")
    )
    parts = [part for one in chunks for part in one.parts or ()]
    assert "".join(part.text or "" for part in parts if not part.thought) == NASTY
    assert "".join(part.text or "" for part in parts if part.thought) == "hm"
    (image,) = [part.inline_data for part in parts if part.inline_data]
    assert (image.mime_type, image.data) == ("image/png", b"\0\0\0")
    (asked,) = [one for part in chunks for one in part.function_calls or ()]
    assert asked.args == {"s": NASTY, "n": 2**53 + 1}
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP


def test_what_the_sdk_sends_back_is_what_was_said() -> None:
    thought: list[Event] = [Open(PartKind.THINKING), Delta("hm"), Shut(CLAUDES)]
    events = said(thought, call('{"a":1}', seal=SEAL), reason=FinishReason.TOOL_CALLS)
    client = gemini_client(CODEC.encode_answer(events))
    answered = client.models.generate_content(model="m", contents="x")
    assert answered.candidates is not None
    content = answered.candidates[0].content
    assert content is not None
    turn = content.model_dump(mode="json", by_alias=True, exclude_none=True)
    from app.protocols.base import Operation

    request = CODEC.decode_request(
        json.dumps({"contents": [turn]}).encode(), Operation.GENERATE, model="m", stream=False
    )
    thinking, asked = request.turns[0].parts
    assert getattr(thinking, "seal", None) == CLAUDES
    assert getattr(asked, "seal", None) == SEAL
    assert getattr(asked, "arguments", None) == '{"a":1}'


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
SEALS = st.sampled_from([None, SEAL, CLAUDES])
PARTS = st.one_of(
    st.tuples(WORDS, st.sampled_from([None, SEAL])).map(lambda got: text(*got)),
    st.tuples(st.lists(WORDS, min_size=1, max_size=3), SEALS).map(
        lambda got: [Open(PartKind.THINKING), *map(Delta, got[0]), Shut(got[1])]
    ),
    st.dictionaries(WORDS, st.integers() | WORDS, max_size=2).map(
        lambda got: call(json.dumps(got, ensure_ascii=False, separators=(",", ":")), seal=SEAL)
    ),
)


@given(parts=st.lists(PARTS, min_size=1, max_size=5), data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_cut_is_seen_and_any_split_is_not(
    parts: list[list[Event]], data: st.DataObject
) -> None:
    events = said(*parts)
    body = b"".join(CODEC.encode_stream(events))
    cutter = FrameCutter()
    frames = [one for at in range(len(body)) for one in cutter.feed(body[at : at + 1])]
    whole = fold(CODEC.decode_stream(frames))
    assert whole == fold(CODEC.decode_answer(CODEC.encode_answer(events)))
    assert "".join(part.text for part in whole.parts) == "".join(
        event.text for event in events if isinstance(event, Delta)
    )
    cut = data.draw(st.integers(0, len(body) - 1))
    found = CODEC.decode_stream(FrameCutter().feed(body[:cut]))
    assert not any(isinstance(event, Finish) for event in found)
