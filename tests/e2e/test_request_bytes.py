"""What the provider is sent is what the client wrote, but for the model's name."""

from __future__ import annotations

import json

import pytest

from tests.e2e.raw import Answer, ask
from tests.e2e.speech import ALL, CHAT, GEMINI, MESSAGES, RESPONSES, Speech
from tests.fakes.gateway import Gateway
from tests.fakes.upstream import ScriptedUpstream

# Everything a JSON writer may do and a re-writer would undo: odd spacing, CRLF, tabs, escapes,
# key order, members nobody knows, number spellings, the model's name in other places.
DIFFICULT = (
    b'\r\n{\r\n\t"unknown_field" : {"model":"not-this-one", "deep":[{"model" : "nor-this"}]},\r\n'
    b'  "zz_first":1.0 ,"float":1e5, "FLOAT":1E+05,"neg":-0.0,"big":123456789012345678901234567890,'
    b'"tiny":1.00000000000000000001e-7,\r\n'
    b'"messages":[ {"role":"user","content":"caf\\u00e9 \\ud83d\\ude00 \xc3\xa9\xf0\x9f\x98\x80'
    b" \\/ "
    b'\\"model\\":\\"fake\\" {\\"model\\": 1}"} ] ,\r\n'
    b'"contents":[{"parts":[{"text":"\\u0041\\n"}]}],"input":"h\\u0069","max_tokens":10,\r\n'
    b'\t"model"  :\t"MODEL" ,\r\n'
    b'"metadata":{"model":{"model":"MODEL"}},"empty":{ },"none":[ ] ,"null":null,\r\n'
    b'"stream" :false , "a_last" : "\\u005c" }\r\n\r\n'
)
NAMED_IN_BODY = [speech for speech in ALL if not speech.model_in_path]


def _ask(gateway: Gateway, speech: Speech, body: bytes, model: str = "", chunk: int = 0) -> Answer:
    path = speech.client_path(model)
    return ask(gateway.port, "POST", path, body, [speech.key_header(gateway.key)], chunk_size=chunk)


def _only_body(upstream: ScriptedUpstream) -> bytes:
    assert len(upstream.requests) == 1
    return upstream.requests[0].body


@pytest.mark.parametrize("chunk_size", [0, 7])
def test_no_byte_changes(
    speech: Speech, chunk_size: int, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    body = DIFFICULT.replace(b"MODEL", speech.model.encode())
    assert _ask(gateway, speech, body, chunk=chunk_size).status == 200
    assert _only_body(upstream) == body


@pytest.mark.parametrize("speech", NAMED_IN_BODY, ids=lambda speech: speech.name)
def test_an_alias_changes_the_models_name_alone(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    before, _, after = DIFFICULT.partition(b'\t"MODEL"')
    alias, model = speech.alias.encode(), speech.model.encode()
    assert _ask(gateway, speech, before + b'\t"' + alias + b'"' + after).status == 200
    assert _only_body(upstream) == before + b'\t"' + model + b'"' + after


def test_an_alias_in_the_path_leaves_the_body_alone(
    gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(GEMINI.upstream_path(), GEMINI.plain())
    assert _ask(gateway, GEMINI, DIFFICULT, GEMINI.alias).status == 200
    assert _only_body(upstream) == DIFFICULT


@pytest.mark.parametrize("speech", NAMED_IN_BODY, ids=lambda speech: speech.name)
@pytest.mark.parametrize(
    "member",
    [b'"mod\\u0065l":"ALIAS"', b'"model":"\\u0041LIAS"', b'"model":\r\n\t "ALIAS"\t'],
    ids=["escaped name", "escaped value", "wide"],
)
def test_a_model_written_oddly_is_still_found(
    member: bytes, speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    first = b"\\u%04x" % ord(speech.alias[0])
    written = member.replace(b"\\u0041LIAS", first + speech.alias[1:].encode())
    written = written.replace(b"ALIAS", speech.alias.encode())
    body = b'{"x":{"model":"no"},' + written + b',"max_tokens":5, "y" : 1.50}'
    assert _ask(gateway, speech, body).status == 200
    sent = _only_body(upstream)
    assert json.loads(sent)["model"] == speech.model
    assert sent.startswith(b'{"x":{"model":"no"},')
    assert sent.endswith(b',"max_tokens":5, "y" : 1.50}')


@pytest.mark.parametrize("speech", NAMED_IN_BODY, ids=lambda speech: speech.name)
def test_a_model_behind_a_large_member(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(), speech.plain())
    image = b"A\\u0042" * 700_000
    body = b'{"input":"' + image + b'","model":"' + speech.alias.encode() + b'"}'
    assert _ask(gateway, speech, body).status == 200
    assert _only_body(upstream) == body.replace(speech.alias.encode(), speech.model.encode())


@pytest.mark.parametrize("speech", NAMED_IN_BODY, ids=lambda speech: speech.name)
def test_what_was_allowed_is_what_is_sent(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    """A body that names the model twice must not show us one name and the provider another."""
    upstream.reply(speech.upstream_path(), speech.plain())
    for first, second in ((speech.alias, "hidden-model"), ("hidden-model", speech.alias)):
        upstream.requests.clear()
        body = b'{"model":"%b","model":"%b"}' % (first.encode(), second.encode())
        if _ask(gateway, speech, body).status == 200:
            assert b"hidden-model" not in _only_body(upstream)
        else:
            assert upstream.requests == []


def _is_insertion(original: bytes, changed: bytes) -> bool:
    """Whether ``changed`` is ``original`` with something put in at one place."""
    same = 0
    while same < len(original) and original[same] == changed[same]:
        same += 1
    return any(
        changed.endswith(original[at:]) and changed.startswith(original[:at])
        for at in range(same, -1, -1)
    )


@pytest.mark.parametrize("model", [CHAT.model, CHAT.alias])
@pytest.mark.parametrize(
    "options",
    [b"", b'"stream_options" : { },', b'"stream_options":{ "include_obfuscation" :false },'],
    ids=["absent", "empty", "others"],
)
def test_a_chat_stream_is_asked_for_its_usage(
    options: bytes, model: str, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.stream())
    body = DIFFICULT.replace(b'"stream" :false ', b'"stream" : true ')
    body = body.replace(b'"zz_first"', options + b'"zz_first"')
    before, _, after = body.partition(b'\t"MODEL"')
    assert _ask(gateway, CHAT, before + b'\t"' + model.encode() + b'"' + after).status == 200
    sent = _only_body(upstream)
    assert json.loads(sent)["stream_options"]["include_usage"] is True
    assert _is_insertion(before + b'\t"' + CHAT.model.encode() + b'"' + after, sent)


@pytest.mark.parametrize("value", [b"false", b"null"])
def test_a_refused_usage_is_asked_for_all_the_same(
    value: bytes, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(CHAT.upstream_path(), CHAT.stream())
    start = b'{"model":"gpt-test", "stream":true,  "stream_options":{"x":1.0,"include_usage" :'
    assert _ask(gateway, CHAT, start + value + b' }, "y":2.50}').status == 200
    sent = _only_body(upstream)
    assert json.loads(sent)["stream_options"] == {"x": 1.0, "include_usage": True}
    assert sent.startswith(start)
    assert sent.endswith(b' }, "y":2.50}')


@pytest.mark.parametrize("speech", [RESPONSES, MESSAGES, GEMINI], ids=lambda speech: speech.name)
def test_other_streams_need_no_such_switch(
    speech: Speech, gateway: Gateway, upstream: ScriptedUpstream
) -> None:
    upstream.reply(speech.upstream_path(stream=True), speech.stream())
    body = speech.body(stream=True)
    path = speech.client_path(stream=True)
    assert ask(gateway.port, "POST", path, body, [speech.key_header(gateway.key)]).status == 200
    assert _only_body(upstream) == body
