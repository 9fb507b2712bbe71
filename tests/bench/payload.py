"""What the load generator asks, what the mock upstream answers, and how both are compared.

A request says in its ``user`` member, or in its last words, what it wants back (``Plan``), so the
mock needs no script and the load generator knows every byte to expect.
"""

from __future__ import annotations

import functools
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any, Literal

MODEL = "bench-model"
UPSTREAM_MODEL = "bench-upstream"
CLIENT_KEY = "sk-bench-client"
UPSTREAM_KEY = "sk-bench-upstream"
MANAGEMENT_KEY = "bench-management"
PATH = "/v1/chat/completions"

PROMPT_TOKENS = 113
COMPLETION_TOKENS = 201
USAGE_OBJECT = (
    f'{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{COMPLETION_TOKENS},'
    f'"total_tokens":{PROMPT_TOKENS + COMPLETION_TOKENS},'
    '"prompt_tokens_details":{"cached_tokens":32,"audio_tokens":0},'
    '"completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0}}'
)

ANSWER_BYTES = 1_600
CHUNK_BYTES = 300
ECHO_BYTES = 65_536
"""From this size on the answer carries a checksum of the request's body."""

WORDS = "The quick gateway carries each answer to whoever asked for it and keeps the books. "
_PLAN = re.compile(rb'"user":"bench:([^"]+)"|\[bench:([^\]]+)\]')
_WANTS_USAGE = re.compile(rb'"include_usage"\s*:\s*true')

STAMP = re.compile(rb"#(\d{4}) (\d{16}) (\d{16})")
"""In each chunk: its number, when it was written, when its request came (monotonic ns)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the mock shall do with one request.

    Attributes:
        kind: a whole answer or a stream.
        size: bytes of a whole answer, chunks of a stream.
        spacing_ms: between two chunks; 0 = all at once.
        first_ms: before the first byte of the answer.
        name: to find one exchange again.
    """

    kind: Literal["json", "sse"]
    size: int
    spacing_ms: int = 0
    first_ms: int = 0
    name: str = "-"

    def encode(self) -> str:
        return f"bench:{self.kind}:{self.size}:{self.spacing_ms}:{self.first_ms}:{self.name}"


JSON_PLAN = Plan("json", ANSWER_BYTES)


def plan_of(body: bytes) -> Plan:
    """The plan inside a request's body; a plain JSON answer where there is none."""
    found = _PLAN.search(body, max(0, len(body) - 256)) or _PLAN.search(body)
    return _decode(found[1] or found[2]) if found else JSON_PLAN


@functools.lru_cache(maxsize=256)
def _decode(raw: bytes) -> Plan:
    kind, size, spacing_ms, first_ms, name = raw.decode().split(":")
    return Plan("sse" if kind == "sse" else "json", int(size), int(spacing_ms), int(first_ms), name)


def wants_usage(body: bytes) -> bool:
    """Whether a stream's request asks for the usage chunk."""
    return _WANTS_USAGE.search(body) is not None


def model_on(dialect: str) -> str:
    """The name under which the gateway serves an upstream of a dialect."""
    return f"bench-on-{dialect}"


# What is asked


def request_body(
    plan: Plan, model: str = MODEL, *, large: bool = False, ask_usage: bool = True
) -> bytes:
    """A chat request as the official SDKs write it: compact, the messages first.

    Args:
        plan: what to answer.
        model: the name to ask for.
        large: a coding agent's conversation of 395 KB in place of two short messages.
        ask_usage: send ``stream_options.include_usage`` with a stream.
    """
    asked: dict[str, object] = {
        "messages": _conversation() if large else _short(),
        "model": model,
        "max_completion_tokens": 512,
        "temperature": 0.2,
    }
    if large:
        asked["tools"] = tools()
    if plan.kind == "sse":
        asked["stream"] = True
        if ask_usage:
            asked["stream_options"] = {"include_usage": True}
    asked["user"] = plan.encode()
    return json.dumps(asked, separators=(",", ":"), ensure_ascii=False).encode()


def image_body(plan: Plan, size: int, model: str = MODEL) -> bytes:
    """A request with one image of ``size`` base64 characters."""
    image = "data:image/png;base64," + "iVBORw0KGgoAAAAN" * (size // 16)
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": image}},
    ]
    asked = {
        "messages": [{"role": "user", "content": content}],
        "model": model,
        "user": plan.encode(),
    }
    return json.dumps(asked, separators=(",", ":")).encode()


def _short() -> list[dict[str, object]]:
    return [
        {"role": "system", "content": "You are a careful assistant. " + WORDS},
        {"role": "user", "content": "Explain in two sentences what a gateway is. " + WORDS},
    ]


CODE = '\tdef carry(self, piece: bytes) -> None:\n\t\tself.out.write(b"%d\\n" % len(piece))\n\n'


def _conversation() -> list[dict[str, object]]:
    """A coding agent's turns: source read by tool calls, with all the escapes source needs."""
    turns: list[dict[str, object]] = [{"role": "system", "content": WORDS * 40}]
    for number in range(1, 138):
        call = {"path": f"src/part_{number}.py", "from": 1, "to": 40, "why": WORDS}
        turns += [
            {"role": "user", "content": f"Look at part {number} – ünïcode as well.\n" + WORDS},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": f"call_{number}",
                        "type": "function",
                        "function": {"name": "read_file", "arguments": json.dumps(call)},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": f"call_{number}", "content": CODE * 19},
            {"role": "assistant", "content": f'Read "{number}".\n' + WORDS * 4},
        ]
    return turns


def tools() -> list[dict[str, Any]]:
    """40 tools of four arguments each, as Chat offers them."""
    kinds = ("string", "integer", "boolean", "string")
    return [
        {
            "type": "function",
            "function": {
                "name": f"tool_{number}",
                "description": WORDS * 3,
                "parameters": {
                    "type": "object",
                    "properties": {
                        f"{kind}_{place}": {"type": kind, "description": WORDS}
                        for place, kind in enumerate(kinds)
                    },
                    "required": ["string_0"],
                    "additionalProperties": False,
                },
            },
        }
        for number in range(40)
    ]


# What is answered


@functools.lru_cache(maxsize=8)
def json_answer(size: int, fingerprint: str) -> bytes:
    """A whole answer of about ``size`` bytes."""
    head = (
        '{"id":"chatcmpl-bench","object":"chat.completion","created":1760000000,'
        f'"model":"{UPSTREAM_MODEL}","choices":[{{"index":0,"message":{{"role":"assistant",'
        '"content":"'
    )
    tail = (
        '","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],'
        f'"usage":{USAGE_OBJECT},"service_tier":"default","system_fingerprint":"{fingerprint}"}}'
    )
    room = max(16, size - len(head) - len(tail))
    return (head + (WORDS * (room // len(WORDS) + 1))[:room] + tail).encode()


def fingerprint_of(body: bytes) -> str:
    """What shows that a large body arrived whole; the same for all small ones."""
    return f"fp_{zlib.crc32(body):08x}" if len(body) >= ECHO_BYTES else "fp_bench"


def frame(choices: str, usage: str, pad: str = "") -> bytes:
    """A chunk of a Chat stream."""
    return (
        'data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1760000000,'
        f'"model":"{UPSTREAM_MODEL}","system_fingerprint":"fp_bench","choices":{choices},'
        f'"usage":{usage}}}{pad}\n\n'
    ).encode()


_DELTA = '[{{"index":0,"delta":{{"content":"{}"}},"logprobs":null,"finish_reason":null}}]'
_STAMP_BYTES = 1 + 4 + 1 + 16 + 1 + 16
_ROOM = CHUNK_BYTES - _STAMP_BYTES - len(frame(_DELTA.format(" "), "null"))
CHUNK = frame(_DELTA.format("#%04d %016d %016d " + WORDS[:_ROOM].ljust(_ROOM)), "null")
"""One chunk of a stream; takes the three numbers of ``STAMP``."""

FINISH = frame('[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]', "null")
USAGE = frame("[]", USAGE_OBJECT)
DONE = b"data: [DONE]\n\n"


def stream_end(with_usage: bool) -> list[bytes]:
    """The frames after the last chunk of content."""
    return [FINISH, USAGE, DONE] if with_usage else [FINISH, DONE]


@functools.lru_cache(maxsize=8)
def stream_answer(chunks: int, with_usage: bool) -> bytes:
    """A whole stream, each stamp reduced to its ``#``."""
    chunk = STAMP.sub(b"#", CHUNK % (0, 0, 0))
    return chunk * chunks + b"".join(stream_end(with_usage))
