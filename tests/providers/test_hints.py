from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.providers.hints import (
    MESSAGE_LIMIT,
    WAIT_LIMIT_S,
    duration_s,
    message_of,
    read_error,
    retry_after_s,
)

NOW_S = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.fixture(autouse=True)
def _fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.clock.epoch_s", lambda: NOW_S)


def _google(message: str, *details: object) -> bytes:
    error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            b'{"error":{"message":"no such thing","type":"x","param":null,"code":null}}',
            "no such thing",
        ),
        (
            b'{"type":"error","error":{"type":"api_error","message":"inner"},"request_id":"r"}',
            "inner",
        ),
        (b'{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}', "bad"),
        (b'[{"error":{"code":400,"message":"in an array","status":"X"}}]', "in an array"),
        (b'{"response":{"error":{"message":"failed late"}}}', "failed late"),
        (b'{"error":"flat"}', "flat"),
        (b'{"detail":"told plainly"}', "told plainly"),
        (b'{"detail":[{"msg":"field required"},{"msg":"too long"}]}', "field required; too long"),
        (b'{"detail":{"message":"nested"}}', "nested"),
        (b'{"message":"top level"}', "top level"),
        (b'{"error":"","error_description":"described"}', "described"),
        (b'{"errors":[{"message":"one"},"two",3]}', "one; two"),
        (b'event: error\ndata: {"error":{"message":"framed"}}\n\n', "framed"),
        (b'data: {"error":{"message":"crlf"}}\r\n\r\ndata: [DONE]\r\n\r\n', "crlf"),
        (b"404 page not found\n", "404 page not found"),
        (b"<html><body>502 Bad Gateway</body></html>", ""),
        (b"upstream said <b>no</b>", ""),
        (b'{"error":{"message":"cut', ""),
        (b'{"error":{"message":17}}', ""),
        (b'{"error":null}', ""),
        (b"[]", ""),
        (b"[1]", ""),
        (b"17", "17"),  # a text like any other
        (b"", ""),
        (b"\xff\xfe\x00", ""),
        (b"x" * 501, ""),
    ],
)
def test_the_message_is_found_wherever_it_stands(body: bytes, message: str) -> None:
    assert message_of(body) == message


def test_a_message_is_cut_and_scrubbed() -> None:
    body = json.dumps({"error": {"message": "Incorrect key sk-abcdefghijklmnop " + "x" * 9000}})
    message = message_of(body.encode())
    assert "sk-abcdefghijklmnop" not in message
    assert len(message) <= MESSAGE_LIMIT
    assert "abcdefghijklmnop" not in message_of(b"bad key Bearer abcdefghijklmnop1234")


@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(body: bytes) -> None:
    error = read_error(body)
    assert error.wait_s is None or 0 <= error.wait_s <= WAIT_LIMIT_S


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "error",
                    "message",
                    "details",
                    "metadata",
                    "@type",
                    "violations",
                    "detail",
                    "resets_at",
                    "resets_in_seconds",
                    "code",
                    "reason",
                    "response",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_can_be_read(document: object) -> None:
    error = read_error(json.dumps(document).encode())
    assert isinstance(error.message, str)
    assert error.wait_s is None or 0 <= error.wait_s <= WAIT_LIMIT_S


def test_codes_of_the_providers_are_read() -> None:
    openai = read_error(
        b'{"error":{"message":"m","type":"T","param":"model","code":"Model_Not_Found"}}'
    )
    assert (openai.type, openai.code, openai.param) == ("t", "model_not_found", "model")
    google = read_error(
        _google(
            "m",
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
            {"@type": "x/google.rpc.QuotaFailure", "violations": [{"quotaId": "PerDay-1"}, 5]},
            "odd",
        )
    )
    assert google.status == "RESOURCE_EXHAUSTED"
    assert google.reasons == {"API_KEY_INVALID"}
    assert google.quota_ids == ("PerDay-1",)
    router = read_error(b'{"error":{"code":403,"message":"m","metadata":{"flagged_input":"x"}}}')
    assert router.code == ""
    assert router.metadata_keys == {"flagged_input"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1s", 1.0),
        ("1h2m3s", 3723.0),
        ("34.07s", 34.07),
        ("1.5h", 5400.0),
        ("20 seconds", 20.0),
        ("2 minutes 5 seconds", 125.0),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("3 Hours", 10800.0),
        ("40 milliseconds", 0.04),
        ("1d", 86400.0),
        ("99999999999h", WAIT_LIMIT_S),
        ("", None),
        ("soon", None),
        ("12", None),
        ("5 somethings", None),
        ("-3s", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_s(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "20"}, 20.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "99999999"}, WAIT_LIMIT_S),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 -0000"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:00:00 GMT"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "Fri, 99 Jan 2027 08:00:30 GMT"}, None),
        ({"retry-after": "Fri, 15 Jan 0001 00:00:30 +2359"}, 0.0),
        ({"retry-after": "later", "retry-after-ms": "x", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "12ms"}, 360.0),
        ({"x-ratelimit-reset-requests": "30"}, 30.0),
        ({"x-ratelimit-reset-requests": str(int(NOW_S) + 45)}, 45.0),
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "12",
                "x-ratelimit-reset-tokens": "12ms",
                "x-ratelimit-remaining-tokens": "0",
            },
            0.012,
        ),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "12"}, None),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "?"}, 1.0),
        ({"x-ratelimit-reset-requests": "tomorrow"}, None),
        (
            {
                "anthropic-ratelimit-requests-reset": "2027-01-15T08:01:00Z",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-tokens-reset": "2027-01-15T09:00:00Z",
                "anthropic-ratelimit-tokens-remaining": "1000",
            },
            60.0,
        ),
        ({"anthropic-ratelimit-unified-reset": str(int(NOW_S) + 90)}, 90.0),
        (
            {
                "anthropic-ratelimit-unified-5h-reset": str(int(NOW_S) + 90),
                "anthropic-ratelimit-unified-5h-status": "allowed",
            },
            None,
        ),
        ({"anthropic-ratelimit-tokens-reset": "sometime"}, None),
        ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:10"}, 10.0),
        ({"content-type": "application/json"}, None),
        ({}, None),
    ],
)
def test_waits_in_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, b"") == seconds


_RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}
_ERROR_INFO = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "metadata": {"quotaResetDelay": "900ms"},
}


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (_google("Please retry in 7s", _ERROR_INFO, _RETRY_INFO), 34.07),
        (_google("Please retry in 7s", _ERROR_INFO), 0.9),
        (_google("Please retry in 12.3s."), 12.3),
        (_google("Please retry in 900ms"), 0.9),
        (_google("Your quota will reset after 1h2m3s."), 3723.0),
        (_google("m", {"@type": "x/google.rpc.RetryInfo"}, {"metadata": 5}), None),
        (b"[" + _google("in an array", _RETRY_INFO) + b"]", 34.07),
        (b'{"error":{"message":"Limit 3, Used 3. Please try again in 20s. Visit x"}}', 20.0),
        (b'{"error":{"message":"try again in 1m2.5s"}}', 62.5),
        (b'{"error":{"message":"Rate limited. Wait 20 seconds, then go on"}}', 20.0),
        (b'{"error":{"message":"Retry after 5 tries"}}', None),
        (b'{"error":{"message":"the image is 12 m wide"}}', None),
        (b"please retry in 3s", 3.0),
        (
            b'{"error":{"type":"usage_limit_reached","resets_at":1800000060,"resets_in_seconds":9}}',
            60.0,
        ),
        (b'{"error":{"type":"usage_limit_reached","resets_at":5}}', 0.0),
        (b'{"error":{"type":"usage_limit_reached","resets_in_seconds":9}}', 9.0),
        (b'{"error":{"resets_at":true,"resets_in_seconds":"9"}}', None),
        (b'{"error":{"message":"You will regain access on 2027-01-16 at 00:00 UTC."}}', 57600.0),
        (b'{"error":{"message":"You will regain access on 2027-01-16."}}', 57600.0),
        (b'{"error":{"message":"You will regain access on 2027-99-16."}}', None),
        (b"", None),
    ],
)
def test_waits_in_bodies(body: bytes, seconds: float | None) -> None:
    wait = retry_after_s({}, body)
    assert wait == (None if seconds is None else pytest.approx(seconds))


def test_a_header_goes_before_the_body() -> None:
    assert retry_after_s({"retry-after": "3"}, _google("m", _RETRY_INFO)) == 3.0


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "retry-after",
                "retry-after-ms",
                "x-ratelimit-reset-tokens",
                "x-ratelimit-remaining-tokens",
                "anthropic-ratelimit-tokens-reset",
            ]
        ),
        st.text(max_size=40),
    )
)
def test_no_header_makes_a_wait_out_of_bounds(headers: dict[str, str]) -> None:
    wait = retry_after_s(headers, b"")
    assert wait is None or 0 <= wait <= WAIT_LIMIT_S
