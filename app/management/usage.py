"""Usage statistics in the shape that panels of earlier gateways read.

What differs: callers are ids of client keys and not the keys; models go by the name the client
asked for; prompts are not kept; the sums cover everything, the details only the newest calls.
"""

from __future__ import annotations

import hashlib
from typing import Any

from app import clock
from app.accounting.ledger import Ledger, UsageRecord, is_failure
from app.ir.events import Usage

DETAILS = 2_000
"""How many calls are told one by one when the asker does not say."""

MAX_DETAILS = 10_000
_PAUSE_EVERY = 200


def usage_json(ledger: Ledger, details: int = DETAILS) -> dict[str, Any]:
    """All there is to tell; ``details`` bounds the calls that are told one by one.

    Raises:
        GatewayError: the ledger cannot be read.
    """
    pairs = ledger.totals_by_key_and_model()
    days, hours = ledger.totals("day"), ledger.totals("hour")
    apis = _apis(pairs)
    _add_details(apis, list(ledger.records(limit=details)))
    requests = sum(totals.requests for _, totals in pairs)
    failures = sum(totals.failures for _, totals in pairs)
    usage = {
        "total_requests": requests,
        "success_count": requests - failures,
        "failure_count": failures,
        "total_tokens": sum(totals.usage.total for _, totals in pairs),
        "apis": apis,
        "requests_by_day": {day.group: day.requests for day in days},
        "requests_by_hour": {hour.group: hour.requests for hour in hours},
        "tokens_by_day": {day.group: day.usage.total for day in days},
        "tokens_by_hour": {hour.group: hour.usage.total for hour in hours},
    }
    return {"usage": usage, "failed_requests": failures}


def _apis(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    apis: dict[str, Any] = {}
    for caller, totals in pairs:
        api = apis.setdefault(caller, {"total_requests": 0, "total_tokens": 0, "models": {}})
        api["total_requests"] += totals.requests
        api["total_tokens"] += totals.usage.total
        api["models"][totals.group or "unknown"] = {
            "total_requests": totals.requests,
            "total_tokens": totals.usage.total,
            "details": [],
        }
    return apis


def _add_details(apis: dict[str, Any], newest_first: list[UsageRecord]) -> None:
    for count, record in enumerate(reversed(newest_first), 1):
        api = apis.get(record.client_id, {"models": {}})
        # A call that ended after the sums were made has its turn the next time.
        model = api["models"].get(record.model or "unknown")
        if model is not None:
            model["details"].append(_detail(record))
        if count % _PAUSE_EVERY == 0:
            clock.sleep(0)  # let answers go on


def _detail(record: UsageRecord) -> dict[str, Any]:
    return {
        "timestamp": record.at,
        "source": record.credential_id,
        "auth_index": hashlib.sha256(record.credential_id.encode()).hexdigest()[:16],
        "tokens": tokens_json(record.usage),
        "failed": is_failure(record),
        "request_id": record.id,
        "status": record.status,
        "provider": record.provider,
        "upstream_model": record.upstream_model,
        "latency_ms": record.duration_ms,
        "ttft_ms": record.ttft_ms,
    }


def tokens_json(usage: Usage) -> dict[str, Any]:
    """Counts under the names that panels know: input, output and reasoning make the total.

    Cached tokens are part of the input here, as the APIs they were named after have it.
    """
    return {
        "input_tokens": usage.input_total,
        "output_tokens": usage.output_tokens + usage.output_audio_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "total_tokens": usage.total,
        "estimated": usage.estimated,
    }
