"""Usage records for tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from app.accounting.ledger import UsageRecord
from app.ir.events import Usage

NOON = datetime(2026, 3, 4, 12, 30, 15, 123457, tzinfo=UTC)

_PLAIN = UsageRecord(
    id="req-1",
    at=NOON,
    client_id="key-a",
    model="fast",
    upstream_model="vendor-fast-1",
    provider="openai",
    credential_id="openai:0123456789ab",
    protocol="openai_chat",
    operation="chat",
    stream=True,
    status=200,
    blame="",
    usage=Usage(
        input_tokens=10,
        cache_read_tokens=20,
        cache_write_tokens=3,
        input_audio_tokens=4,
        output_tokens=50,
        reasoning_tokens=6,
        output_audio_tokens=7,
    ),
    attempts=2,
    ttft_ms=12.25,
    duration_ms=1500.5,
    bytes_in=1000,
    bytes_out=2**33,
    answer_id="chatcmpl-1",
)


def record(**changes: Any) -> UsageRecord:
    """A record with every field filled, changed as asked."""
    return replace(_PLAIN, **changes)
