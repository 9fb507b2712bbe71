from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BadRequest
from app.wire import splice

KEYS = st.sampled_from(["model", "m", "stream_options", "include_usage", 'a"model', "model\\", "Ü"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["model", '"model":', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS | st.text(max_size=4), VALUES, max_size=6)
SPACES = st.sampled_from(["", " ", "\n", "\t", " \r\n "])
Object = dict[str, Any]


@st.composite
def spellings(draw: st.DrawFn, value: Any) -> str:
    """One of the many ways to write a value as JSON, every space and escape drawn anew."""

    def space() -> str:
        return draw(SPACES)

    def text(string: str) -> str:
        escaped = json.dumps(string, ensure_ascii=draw(st.booleans()))
        if string.isascii() and string.isalpha() and draw(st.integers(0, 9)) == 0:
            place = draw(st.integers(0, len(string) - 1))
            return f'"{string[:place]}\\u{ord(string[place]):04x}{string[place + 1 :]}"'
        return escaped

    def write(item: Any) -> str:
        if isinstance(item, dict):
            members = [
                f"{space()}{text(k)}{space()}:{space()}{write(v)}{space()}" for k, v in item.items()
            ]
            return "{" + (",".join(members) or space()) + "}"
        if isinstance(item, list):
            return "[" + (",".join(f"{space()}{write(v)}{space()}" for v in item) or space()) + "]"
        return text(item) if isinstance(item, str) else json.dumps(item)

    return space() + write(value) + space()


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Object, bytes]:
    value = draw(OBJECTS)
    return value, draw(spellings(value)).encode("utf-8", "surrogatepass")


def joined(pieces: splice.Pieces) -> bytes:
    return b"".join(pieces)


def parsed(body: bytes) -> Any:
    return json.loads(body.decode("utf-8", "surrogatepass"))


@given(bodies(), VALUES)
def test_only_that_member_changes(given_body: tuple[Object, bytes], new: Any) -> None:
    value, body = given_body
    out = joined(splice.set_member(body, "model", json.dumps(new).encode()))
    assert parsed(out) == {**value, "model": new}


@given(bodies())
def test_every_other_byte_is_kept(given_body: tuple[Object, bytes]) -> None:
    value, body = given_body
    pieces = splice.set_member(body, "model", b'"\x00new"', present="model" in value)
    assert [bytes(piece) for piece in pieces].count(b'"\x00new"') == ("model" in value)
    if "model" in value:
        place = [bytes(piece) for piece in pieces].index(b'"\x00new"')
        old = splice.top_level(body, "model")
        assert old is not None
        assert b"".join([*pieces[:place], old, *pieces[place + 1 :]]) == body
    else:
        assert (
            joined(pieces).replace(b'"model":"\x00new",', b"").replace(b'"model":"\x00new"', b"")
            == body
        )


@given(bodies())
def test_top_level_reads_the_value_as_it_stands(given_body: tuple[Object, bytes]) -> None:
    value, body = given_body
    for key in ("model", "stream_options", "missing"):
        raw = splice.top_level(body, key)
        assert (raw is None) == (key not in value)
        if raw is not None:
            assert parsed(raw) == value[key]


@given(bodies())
def test_set_path(given_body: tuple[Object, bytes]) -> None:
    value, body = given_body
    out = parsed(joined(splice.set_path(body, "stream_options", "include_usage", b"true")))
    old = value.get("stream_options")
    if old is None or isinstance(old, dict):
        assert out == {**value, "stream_options": {**(old or {}), "include_usage": True}}
    else:
        assert out == value


@given(bodies())
def test_drop_member(given_body: tuple[Object, bytes]) -> None:
    value, body = given_body
    out = joined(splice.drop_member(body, "model"))
    assert parsed(out) == {key: item for key, item in value.items() if key != "model"}
    if "model" not in value:
        assert out == body


@given(
    st.lists(
        st.sampled_from(['"model":1', '"x":[2]', '"mod\\u0065l" : {"model":3}', '"y":"model"'])
    )
)
def test_duplicates_are_set_or_dropped_all(members: list[str]) -> None:
    body = "{" + " , ".join(members) + "}"

    def pairs(text: bytes) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
        return found

    names = [name for name, _ in pairs(body.encode())]
    for present in {False, "model" in names}:
        out = joined(splice.set_member(body.encode(), "model", b"9", present=present))
        assert [v for k, v in pairs(out) if k == "model"] == [9] * max(1, names.count("model"))
    left = [pair for pair in pairs(body.encode()) if pair[0] != "model"]
    assert pairs(joined(splice.drop_member(body.encode(), "model"))) == left


@pytest.mark.parametrize(
    ("body", "out"),
    [
        (b'{"model":"a"}', b'{"model":"z"}'),
        (b' {"model" :\n"a" , "x":1}\n', b' {"model" :\n"z" , "x":1}\n'),
        (b'{"x":{"model":"a"},"model":"b"}', b'{"x":{"model":"a"},"model":"z"}'),
        (b'{"x":"\\"model\\":1","model":"b"}', b'{"x":"\\"model\\":1","model":"z"}'),
        (b'{"a\\"model":1,"model":2}', b'{"a\\"model":1,"model":"z"}'),
        (b'{"role":"model","model":2}', b'{"role":"model","model":"z"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"z"}'),
        (b'{"x":"\\\\","model":2}', b'{"x":"\\\\","model":"z"}'),
        (b'{"x":"\\u0041","model":2}', b'{"x":"\\u0041","model":"z"}'),
    ],
)
def test_known_members(body: bytes, out: bytes) -> None:
    assert joined(splice.set_member(body, "model", b'"z"', present=True)) == out
    assert joined(splice.set_member(bytearray(body), "model", b'"z"')) == out
    assert joined(splice.set_member(memoryview(body), "model", b'"z"')) == out


@pytest.mark.parametrize(
    ("body", "out"),
    [
        (b"{}", b'{"model":1}'),
        (b"{ \n}", b'{"model":1 \n}'),
        (b'{ "x":{"model":2}}', b'{"model":1, "x":{"model":2}}'),
    ],
)
def test_an_absent_member_is_inserted_first(body: bytes, out: bytes) -> None:
    assert joined(splice.set_member(body, "model", b"1")) == out


@pytest.mark.parametrize(
    ("options", "out"),
    [
        (b"null", b'{"include_usage":true}'),
        (b"{}", b'{"include_usage":true}'),
        (b'{"x":1}', b'{"include_usage":true,"x":1}'),
        (b'{"include_usage":false}', b'{"include_usage":true}'),
        (b'"yes"', b'"yes"'),
    ],
)
def test_stream_options(options: bytes, out: bytes) -> None:
    body = b'{"a":1, "stream_options" : %b }'
    pieces = splice.set_path(body % options, "stream_options", "include_usage", b"true")
    assert joined(pieces) == body % out


def test_two_edits_of_one_body() -> None:
    body = b'{"model":"a","x":1}'
    edits = splice.member_edits(body, "model", b'"z"', present=True)
    edits += splice.path_edits(body, "stream_options", "include_usage", b"true")
    out = joined(splice.apply(body, edits))
    assert out == b'{"stream_options":{"include_usage":true},"model":"z","x":1}'


def test_long_strings_and_deep_nesting_are_stepped_over() -> None:
    long = "A" * 5000 + '\\"' + "\\\\" * 300
    deep = "[" * 3000 + '"]"' + "]" * 3000
    body = f'{{"x":{{"model":"{long}"}},"y":{deep},"z":[{{"a":"{long}"}},"{long}"],"model":2}}'
    pieces = splice.set_member(body.encode(), "model", b"1", present=True)
    assert joined(pieces) == (body[:-2] + "1}").encode()


def test_a_large_body_is_not_copied() -> None:
    body = b'{"model":"a","x":"' + b"A" * 1_000_000 + b'"}'
    pieces = splice.set_member(body, "model", b'"z"', present=True)
    assert [type(piece) for piece in pieces] == [memoryview, bytes, memoryview]
    assert all(isinstance(p, bytes) or p.obj is body for p in pieces)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"x":', b'{"x', b'{"x":"', b'{"x" 1}', b'{"x":[1', b'{"x":1', b'{"x":1,']
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        splice.top_level(body, "model")
