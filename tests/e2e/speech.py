"""The four protocols as the end-to-end tests need them: where to ask, what to say, what comes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes import answers
from tests.fakes.upstream import Reply

_GOOGLE_WORDS = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_ANTHROPIC_WORDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI_WORDS = {401: "authentication_error", 429: "requests"}


@dataclass(frozen=True, slots=True)
class Speech:
    """One protocol, seen from both sides of the gateway.

    Attributes:
        name: as the gateway's ledger has it.
        section: the configuration's list of keys.
        base: path of the scripted provider that speaks it.
        model: a name served as it is.
        alias: a name served under ``model`` upstream.
        pair: a model for which there are two credentials.
        key_header: the header a client of this protocol puts its key into, and how.
    """

    name: str
    section: str
    base: str
    model: str
    alias: str
    pair: str
    key_header: Callable[[str], tuple[str, str]]
    path: Callable[[str, bool], str]
    request: Callable[[str, bool], dict[str, Any]]
    whole: Callable[..., bytes]
    frames: Callable[..., list[bytes]]
    terminal: bytes

    @property
    def secrets(self) -> tuple[str, str, str]:
        """Credentials: the first alone serves ``model``, the other two serve ``pair``."""
        return (f"sk-{self.name}-single", f"sk-{self.name}-pair-a", f"sk-{self.name}-pair-b")

    @property
    def model_in_path(self) -> bool:
        return self.name == "gemini_generate"

    def body(self, model: str = "", *, stream: bool = False) -> bytes:
        """A small request."""
        return json.dumps(self.request(model or self.model, stream)).encode()

    def client_path(self, model: str = "", *, stream: bool = False) -> str:
        """Where a client sends it."""
        version = "/v1beta" if self.model_in_path else "/v1"
        return version + self.path(model or self.model, stream)

    def upstream_path(self, model: str = "", *, stream: bool = False) -> str:
        """Where the provider is asked, without a query."""
        version = "/v1beta" if self.model_in_path else "/v1"
        target = self.base + version + self.path(model or self.model, stream)
        return target.partition("?")[0]

    def stream(self, text: str = "Hello there", **more: Any) -> Reply:
        """The provider's streamed answer, a chunk a frame; ``more`` as ``frames`` takes it."""
        return answers.streamed(self.frames(text, **more))

    def plain(self, text: str = "Hello there", **more: Any) -> Reply:
        """The provider's answer in one piece; ``more`` as ``whole`` takes it."""
        return answers.whole(self.whole(text, **more))

    def error(self, status: int, message: str = "no", **headers: str) -> Reply:
        """The provider's error answer, with the words it uses for this status."""
        extra = [(name.replace("_", "-"), value) for name, value in headers.items()]
        body = answers.dumps(self._error(status, message))
        return Reply(status, body, headers=[("Content-Type", "application/json"), *extra])

    def _error(self, status: int, message: str) -> dict[str, Any]:
        if self.name == "gemini_generate":
            word = _GOOGLE_WORDS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
            return {"error": {"code": status, "message": message, "status": word}}
        words = _ANTHROPIC_WORDS if self.name == "anthropic_messages" else _OPENAI_WORDS
        otherwise = "api_error" if self.name == "anthropic_messages" else "server_error"
        word = words.get(status, otherwise if status >= 500 else "invalid_request_error")
        if self.name == "anthropic_messages":
            return {"type": "error", "error": {"type": word, "message": message}}
        return {"error": {"message": message, "type": word, "param": None, "code": None}}

    def error_type(self, body: Any) -> str:
        """The word that tells a client what kind of error it is, in this protocol's own place."""
        if self.name == "gemini_generate":
            return str(body["error"]["status"])
        if self.name == "anthropic_messages":
            assert body["type"] == "error"
            return str(body["error"]["type"])
        return str(body["error"]["type"])

    def error_message(self, body: Any) -> str:
        """The sentence for people."""
        return str(body["error"]["message"])


def _chat(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Say hello"}]}
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _responses(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "input": "Say hello"}
    return body | {"stream": True} if stream else body


def _messages(model: str, stream: bool) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Say hello"}],
    }
    return body | {"stream": True} if stream else body


def _gemini(model: str, stream: bool) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Say hello"}]}]}


def _gemini_path(model: str, stream: bool) -> str:
    return f"/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")


def _bearer(key: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {key}"


CHAT = Speech(
    name="openai_chat",
    section="openai-api-key",
    base="/openai",
    model="gpt-test",
    alias="gpt-nickname",
    pair="gpt-pair",
    key_header=_bearer,
    path=lambda model, stream: "/chat/completions",
    request=_chat,
    whole=answers.chat_answer,
    frames=answers.chat_stream,
    terminal=b"data: [DONE]\n\n",
)
RESPONSES = Speech(
    name="openai_responses",
    section="codex-api-key",
    base="/codex",
    model="codex-test",
    alias="codex-nickname",
    pair="codex-pair",
    key_header=_bearer,
    path=lambda model, stream: "/responses",
    request=_responses,
    whole=answers.responses_answer,
    frames=answers.responses_stream,
    terminal=b"event: response.completed\n",
)
MESSAGES = Speech(
    name="anthropic_messages",
    section="claude-api-key",
    base="/claude",
    model="claude-test",
    alias="claude-nickname",
    pair="claude-pair",
    key_header=lambda key: ("x-api-key", key),
    path=lambda model, stream: "/messages",
    request=_messages,
    whole=answers.messages_answer,
    frames=answers.messages_stream,
    terminal=b"event: message_stop\n",
)
GEMINI = Speech(
    name="gemini_generate",
    section="gemini-api-key",
    base="/gemini",
    model="gemini-test",
    alias="gemini-nickname",
    pair="gemini-pair",
    key_header=lambda key: ("x-goog-api-key", key),
    path=_gemini_path,
    request=_gemini,
    whole=answers.gemini_answer,
    frames=answers.gemini_stream,
    terminal=b'"finishReason":"STOP"',
)
ALL = (CHAT, RESPONSES, MESSAGES, GEMINI)


def settings(upstream_url: str) -> dict[str, Any]:
    """A configuration with every protocol's scripted provider, single and in a pair."""
    config: dict[str, Any] = {"demo": True}
    for speech in ALL:
        version = "/v1" if speech is RESPONSES else ""
        base_url = upstream_url + speech.base + version
        single, *pair = speech.secrets
        entries = [
            {
                "api-key": single,
                "base-url": base_url,
                "models": [{"name": speech.model}, {"name": speech.model, "alias": speech.alias}],
            }
        ]
        entries += [
            {"api-key": secret, "base-url": base_url, "models": [{"name": speech.pair}]}
            for secret in pair
        ]
        config[speech.section] = entries
    config["openai-api-key"][0]["models"] += [
        {"name": "gpt-responses"},
        {"name": "embedding-test"},
    ]
    config["gemini-api-key"][0]["models"] += [{"name": "gemini-embedding-001"}]
    config["openai-compatibility"] = [
        {
            "name": "compat",
            "base-url": f"{upstream_url}/compat/v1",
            "api-key-entries": [{"api-key": "sk-compat"}],
            "models": [{"name": "vendor/compat-model", "alias": "compat-model"}],
        }
    ]
    return config
