"""The official SDKs as readers of bytes: no socket, one canned reply for every request."""

from __future__ import annotations

import warnings

import anthropic
import httpx2
import openai
from google import genai
from google.genai import types

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


def _transport(status: int, body: bytes, kind: str, headers: dict[str, str]) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        # in small pieces, so that frames and characters come cut
        pieces = (body[start : start + 7] for start in range(0, len(body), 7))
        return httpx2.Response(status, headers={"content-type": kind, **headers}, content=pieces)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(
    body: bytes, *, status: int = 200, kind: str = JSON, headers: dict[str, str] | None = None
) -> openai.OpenAI:
    http = _transport(status, body, kind, headers or {})
    return openai.OpenAI(
        api_key="k", base_url="http://127.0.0.1/v1", http_client=http, max_retries=0
    )


def anthropic_client(
    body: bytes, *, status: int = 200, kind: str = JSON, headers: dict[str, str] | None = None
) -> anthropic.Anthropic:
    http = _transport(status, body, kind, headers or {})
    return anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0
    )


def gemini_client(body: bytes, *, status: int = 200, kind: str = JSON) -> genai.Client:
    http = _transport(status, body, kind, {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own, not ours
        return genai.Client(
            api_key="k",
            http_options=types.HttpOptions(base_url="http://127.0.0.1", httpx_client=http),
        )
