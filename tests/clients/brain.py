"""A scripted model that does a small task with whatever tools a program offers it.

It writes a file, runs a command on it, reads what the command made and says what it read. What it
does next depends on nothing but the results in the request, as with a real model, so a call or a
result that the gateway loses on the way stops the task.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from tests.e2e.matrix.answering import told
from tests.e2e.matrix.talk import Body, Call, Pair, Tell, Thought, Used
from tests.fakes.script import Reply
from tests.fakes.strict.upstream import protocol_of
from tests.fakes.upstream import Recorded

WORDS = "the word is kiwi-48213"
LOUD = WORDS.upper()
PROMPT = "Write the note, make it loud with a shell command, and read the result to me."
USED = Used(input=4321, cached=1000, output=77, reasoning=12)

_SHORT = {
    "openai_chat": "chat",
    "openai_responses": "responses",
    "anthropic_messages": "claude",
    "gemini_generate": "gemini",
}
_WRITE = ("Write", "write_file", "write", "apply_patch")
_SHELL = ("Bash", "run_shell_command", "bash", "exec_command", "shell_command", "shell", "exec")
_READ = ("Read", "read_file", "read")
_PATHS = {"file_path", "filePath", "path", "absolute_path"}
_COMMANDS = {"command", "cmd"}
_FREE: Mapping[str, Any] = MappingProxyType({"free": True})
"""In place of a schema: the tool takes any text."""

_FILLERS = {"string": "for the task", "boolean": False, "integer": 1, "number": 1}

_ANSWER_ID = re.compile(rb'"(?:chatcmpl-|resp_|msg_|r-)1(?=")')

Tools: TypeAlias = dict[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a request offers: tools by name with their schema, and the results so far."""

    tools: Tools
    results: list[str]
    streams: bool


class Brain:
    """Answers every generating request of one program's run.

    Args:
        folder: where the program works.

    Attributes:
        heard: the requests that offered tools, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.heard: list[Heard] = []
        self._answers = 0
        self._note = folder / "note.txt"
        self._loud = folder / "loud.txt"

    def answer(self, request: Recorded) -> Reply:
        """The scripted answer, in the protocol that was asked."""
        protocol = protocol_of(request.path)
        if protocol is None:
            return Reply(404, b'{"error":{"message":"not here","type":"test"}}')
        heard = READERS[protocol](request.json(), request.path)
        pair = Pair(_SHORT[protocol], _SHORT[protocol], heard.streams)
        self._answers += 1
        return _numbered(told(self._next(heard), pair), self._answers)

    def _next(self, heard: Heard) -> Tell:
        if not heard.tools:  # a title, a summary: programs ask such things beside the task
            return Tell(("A loud note",), used=USED)
        self.heard.append(heard)
        step = len(heard.results)
        if step >= 3:
            found = re.search(LOUD, heard.results[-1])
            return Tell((f"I have read: {found[0] if found else 'nothing'}.",), used=USED)
        call = self._call(step, heard.tools)
        thought = Thought(f"Step {step} comes next.")
        return Tell((thought, "Working.", call), "calls", used=USED)

    def _call(self, step: int, tools: Tools) -> Call:
        wanted = (_WRITE, _SHELL, _READ)[step]
        command = (
            f"printf '%s' '{WORDS}' > '{self._note}'",
            f"tr a-z A-Z < '{self._note}' | tee '{self._loud}'",
            f"cat '{self._loud}'",
        )[step]
        name = _named(wanted, tools) or _named(_SHELL, tools)
        if name is None:
            raise AssertionError(f"no tool for step {step} among {sorted(tools)}")
        text = self._patch() if name.endswith("apply_patch") else _script(command)
        call = Call(f"call_{step}", name, text, custom=True, seal="yes")
        if tools[name] is _FREE:
            return call
        path = self._loud if step == 2 else self._note
        arguments = dict(_arguments(tools[name], str(path), command, text))
        return replace(call, arguments=json.dumps(arguments), custom=False)

    def _patch(self) -> str:
        """The note in the language of the patching tool."""
        return f"*** Begin Patch\n*** Add File: {self._note}\n+{WORDS}\n*** End Patch\n"


def _script(command: str) -> str:
    """A command in the language of the scripting tool."""
    return f"const done = await tools.exec_command({{cmd: {json.dumps(command)}}});\ntext(done);\n"


def _numbered(reply: Reply, number: int) -> Reply:
    """The answer with an id of its own, as every provider gives one.

    Programs, and the gateway where a provider names no call ids, build on it.
    """
    frames = [reply.body] if isinstance(reply.body, bytes) else reply.body
    body = [_ANSWER_ID.sub(rb"\g<0>%d" % number, one) for one in frames if isinstance(one, bytes)]
    whole = body[0] if isinstance(reply.body, bytes) else body
    return replace(reply, body=whole)


def _named(wanted: tuple[str, ...], tools: Tools) -> str | None:
    """The first tool of these names, bare or behind a namespace."""
    for want in wanted:
        for name in tools:
            if name == want or re.search(rf"[._-]{want}$", name):
                return name
    return None


def _arguments(
    schema: Mapping[str, Any], path: str, command: str, text: str
) -> Iterator[tuple[str, Any]]:
    """Whatever the tool requires, and what the task needs."""
    required = schema.get("required") or ()
    for name, value in (schema.get("properties") or {}).items():
        if name in _PATHS:
            yield name, path
        elif name == "content":
            yield name, WORDS
        elif name == "input":  # a tool that took free text before it was translated
            yield name, text
        elif name in _COMMANDS:
            yield name, ["bash", "-c", command] if _kind(value) == "array" else command
        elif name in required:
            yield name, _FILLERS[_kind(value)]


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "string")
    first = kind if isinstance(kind, str) else next(one for one in kind if one != "null")
    return str(first).lower()


def _text(content: Any) -> str:
    """All text in a content, however it is wrapped."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text(part) for part in content)
    if isinstance(content, dict):
        return "".join(_text(value) for key, value in content.items() if key != "type")
    return ""


def _chat(body: Body, path: str) -> Heard:
    tools = dict(_openai_tools([{**one[one["type"]], **one} for one in body.get("tools", [])]))
    results = [_text(one["content"]) for one in body["messages"] if one["role"] == "tool"]
    return Heard(tools, results, bool(body.get("stream")))


def _responses(body: Body, path: str) -> Heard:
    items = body["input"] if isinstance(body["input"], list) else []
    results = [
        _text(one["output"]) for one in items if str(one.get("type", "")).endswith("call_output")
    ]
    given = [one["tools"] for one in items if one.get("type") == "additional_tools"]
    tools = dict(_openai_tools([*body.get("tools", []), *chain.from_iterable(given)]))
    return Heard(tools, results, bool(body.get("stream")))


def _openai_tools(given: list[Body]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Functions and free tools, and those of the namespace that needs no naming."""
    for tool in given:
        match tool["type"]:
            case "function":
                yield tool["name"], tool.get("parameters") or {}
            case "custom":
                yield tool["name"], _FREE
            case "namespace" if tool["name"] == "functions":
                yield from _openai_tools(tool["tools"])


def _messages(body: Body, path: str) -> Heard:
    blocks = [b for m in body["messages"] for b in m["content"] if isinstance(b, dict)]
    results = [_text(one.get("content")) for one in blocks if one["type"] == "tool_result"]
    tools = {tool["name"]: tool.get("input_schema") or {} for tool in body.get("tools", [])}
    return Heard(tools, results, bool(body.get("stream")))


def _gemini(body: Body, path: str) -> Heard:
    parts = [part for one in body["contents"] for part in one["parts"]]
    answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
    functions = [f for tool in body.get("tools", []) for f in tool.get("functionDeclarations", [])]
    tools = {f["name"]: f.get("parametersJsonSchema") or f.get("parameters", {}) for f in functions}
    results = [_text(one["response"]) for one in answers]
    return Heard(tools, results, path.endswith(":streamGenerateContent"))


READERS: dict[str, Callable[[Body, str], Heard]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic_messages": _messages,
    "gemini_generate": _gemini,
}
