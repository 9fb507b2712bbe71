"""The official SDKs as clients: they ask, and what their own objects say is told back."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.e2e.matrix.talk import Body, Call, Got, Pair, Thought, Used

_CLAUDE_KNOWN = frozenset(
    {
        "model",
        "max_tokens",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "stop_sequences",
        "metadata",
        "thinking",
        "output_config",
    }
)


@dataclass(frozen=True, slots=True)
class Sdks:
    """The three SDKs, pointed at one gateway."""

    openai: openai.OpenAI
    anthropic: anthropic.Anthropic
    google: genai.Client

    def ask(self, pair: Pair, model: str, body: Body) -> Got:
        """Send a request with the client's SDK and read its answer off the SDK's objects."""
        match pair.client:
            case "chat":
                return _chat(self._chat(pair, model, body))
            case "responses":
                return _responses(self._responses(pair, model, body))
            case "claude":
                return _claude(self._claude(pair, model, body))
            case _:
                return _gemini(self._gemini(pair, model, body))

    def _chat(self, pair: Pair, model: str, body: Body) -> Any:
        create: Any = self.openai.chat.completions.create
        if not pair.stream:
            return create(model=model, **body)
        state: Any = ChatCompletionStreamState()
        options = {"include_usage": True}
        for chunk in create(model=model, stream=True, stream_options=options, **body):
            state.handle_chunk(chunk)
        return state.current_completion_snapshot

    def _responses(self, pair: Pair, model: str, body: Body) -> Any:
        if not pair.stream:
            create: Any = self.openai.responses.create
            return create(model=model, **body)
        stream: Any = self.openai.responses.stream
        last: Any = None
        with stream(model=model, **body) as events:
            for event in events:
                if event.type == "error":
                    raise openai.APIError(event.message, request=None, body=None)  # type: ignore[arg-type]
                if event.type in (
                    "response.completed",
                    "response.incomplete",
                    "response.failed",
                ):
                    last = event.response
        assert last is not None, "the stream ended without its last event"
        if last.status == "failed":
            raise openai.APIError(last.error.message, request=None, body=None)  # type: ignore[arg-type]
        return last

    def _claude(self, pair: Pair, model: str, body: Body) -> Any:
        known = {name: value for name, value in body.items() if name in _CLAUDE_KNOWN}
        rest = {name: value for name, value in body.items() if name not in _CLAUDE_KNOWN}
        if not pair.stream:
            create: Any = self.anthropic.messages.create
            return create(model=model, extra_body=rest, **known)
        stream: Any = self.anthropic.messages.stream
        with stream(model=model, extra_body=rest, **known) as events:
            return events.get_final_message()

    def _gemini(self, pair: Pair, model: str, body: Body) -> Any:
        contents = [
            types.Content.model_validate_json(json.dumps(content)) for content in body["contents"]
        ]
        config = dict(body.get("generationConfig", {}))
        for name in ("systemInstruction", "tools", "toolConfig", "safetySettings", "cachedContent"):
            if name in body:
                config[name] = body[name]
        written = types.GenerateContentConfig.model_validate_json(json.dumps(config))
        ask: Any = self.google.models.generate_content
        if pair.stream:
            ask = self.google.models.generate_content_stream
            return list(ask(model=model, contents=contents, config=written))
        return [ask(model=model, contents=contents, config=written)]


@contextlib.contextmanager
def clients(url: str, key: str) -> Iterator[Sdks]:
    """The SDKs without retries; Anthropic's in the version that other clients still speak."""
    options = types.HttpOptions(
        base_url=url, timeout=20_000, retry_options=types.HttpRetryOptions(attempts=1)
    )
    google = genai.Client(api_key=key, http_options=options)
    with (
        openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0, timeout=20) as one,
        anthropic.Anthropic(
            api_key=key,
            base_url=url,
            max_retries=0,
            timeout=20,
            default_headers={"anthropic-version": "2023-06-01"},
        ) as other,
    ):
        yield Sdks(one, other, google)
    google.close()


def _chat(answer: Any) -> Got:
    choice = answer.choices[0]
    message = choice.message
    thought = getattr(message, "reasoning_content", None)
    usage = answer.usage
    used = None
    if usage is not None:
        prompt = usage.prompt_tokens_details
        completion = usage.completion_tokens_details
        assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
        used = Used(
            usage.prompt_tokens,
            (prompt and prompt.cached_tokens) or 0,
            int(getattr(prompt, "cache_write_tokens", None) or 0),
            usage.completion_tokens,
            (completion and completion.reasoning_tokens) or 0,
        )
    return Got(
        text=message.content or "",
        calls=tuple(_chat_call(call) for call in message.tool_calls or []),
        thoughts=(Thought(thought),) if thought else (),
        finish=choice.finish_reason,
        used=used,
        urls=tuple(_note_url(note) for note in message.annotations or []),
        refusal=message.refusal or "",
        model=answer.model,
    )


def _note_url(note: Any) -> str:
    # A streamed list of annotations is put together by the SDK as plain dictionaries.
    if isinstance(note, dict):
        return str(note["url_citation"]["url"])
    return str(note.url_citation.url)


def _chat_call(call: Any) -> Call:
    seal = (getattr(call, "extra_content", None) or {}).get("google", {})
    signature = seal.get("thought_signature", "")
    if call.type == "custom":
        custom = call.custom  # streamed, the SDK leaves it a plain dictionary
        members = custom if isinstance(custom, dict) else custom.model_dump()
        return Call(call.id, members["name"], members["input"], custom=True, seal=signature)
    return Call(call.id, call.function.name, call.function.arguments, seal=signature)


def _responses(answer: Any) -> Got:
    text, refusal, urls = "", "", []
    calls: list[Call] = []
    thoughts: list[Thought] = []
    for item in answer.output:
        match item.type:
            case "message":
                for part in item.content:
                    if part.type == "refusal":
                        refusal += part.refusal
                    else:
                        text += part.text
                        urls += [note.url for note in part.annotations]
            case "function_call":
                calls.append(Call(item.call_id, item.name, item.arguments))
            case "custom_tool_call":
                calls.append(Call(item.call_id, item.name, item.input, custom=True))
            case "reasoning":
                words = "".join(part.text for part in item.summary)
                thoughts.append(Thought(words, item.encrypted_content or "", item.id))
            case other:
                raise AssertionError(other)
    assert answer.output_text == text
    detail = answer.incomplete_details
    usage = answer.usage
    used = usage and Used(
        usage.input_tokens,
        usage.input_tokens_details.cached_tokens,
        int(getattr(usage.input_tokens_details, "cache_write_tokens", None) or 0),
        usage.output_tokens,
        usage.output_tokens_details.reasoning_tokens,
    )
    finish = f"{answer.status}:{detail.reason}" if detail else str(answer.status)
    return Got(
        text,
        tuple(calls),
        tuple(thoughts),
        finish,
        used,
        tuple(urls),
        refusal,
        model=answer.model,
    )


def _claude(answer: Any) -> Got:
    text, urls = "", []
    calls: list[Call] = []
    thoughts: list[Thought] = []
    for block in answer.content:
        match block.type:
            case "text":
                text += block.text
                urls += [note.url for note in block.citations or [] if hasattr(note, "url")]
            case "tool_use":
                arguments = json.dumps(block.input, ensure_ascii=False)
                calls.append(Call(block.id, block.name, arguments))
            case "thinking":
                thoughts.append(Thought(block.thinking, block.signature))
            case "redacted_thinking":
                thoughts.append(Thought("", block.data))
            case other:
                raise AssertionError(other)
    usage = answer.usage
    cached = usage.cache_read_input_tokens or 0
    written = usage.cache_creation_input_tokens or 0
    details = getattr(usage, "output_tokens_details", None)
    reasoning = getattr(details, "thinking_tokens", 0) if details else 0
    total = usage.input_tokens + cached + written
    return Got(
        text,
        tuple(calls),
        tuple(thoughts),
        answer.stop_reason,
        Used(total, cached, written, usage.output_tokens, reasoning or 0),
        tuple(urls),
        stop_string=answer.stop_sequence or "",
        model=answer.model,
    )


def _gemini(chunks: Sequence[Any]) -> Got:
    text, finish, urls = "", "", []
    calls: list[Call] = []
    thoughts: list[Thought] = []
    usage: Any = None
    for chunk in chunks:
        usage = chunk.usage_metadata or usage
        for candidate in chunk.candidates or []:
            assert not finish, "something came after the finish"
            finish = candidate.finish_reason.value if candidate.finish_reason else ""
            grounding = candidate.grounding_metadata
            if grounding:
                urls += [one.web.uri for one in grounding.grounding_chunks or [] if one.web]
            for part in (candidate.content and candidate.content.parts) or []:
                seal = _signature(part)
                if part.thought:
                    if thoughts and not thoughts[-1].seal and not calls and not text:
                        before = thoughts.pop().text
                        thoughts.append(Thought(before + (part.text or ""), seal))
                    else:
                        thoughts.append(Thought(part.text or "", seal))
                elif part.function_call:
                    call = part.function_call
                    arguments = json.dumps(call.args or {}, ensure_ascii=False)
                    calls.append(Call(call.id or "", call.name, arguments, seal=seal))
                else:
                    text += part.text or ""
    used = usage and Used(
        usage.prompt_token_count or 0,
        usage.cached_content_token_count or 0,
        0,
        (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
        usage.thoughts_token_count or 0,
    )
    if used:
        assert usage.total_token_count == used.input + used.output
    model = chunks[-1].model_version if chunks else ""
    return Got(text, tuple(calls), tuple(thoughts), finish, used, tuple(urls), model=model or "")


def _signature(part: Any) -> str:
    return base64.b64encode(part.thought_signature).decode() if part.thought_signature else ""
