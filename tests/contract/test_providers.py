"""What every provider must hold to. A new one is tested as soon as it is registered."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from app.credentials.credential import Credential
from app.errors import Blame, Garbled, GatewayError, Untranslatable, UpstreamError
from app.protocols.base import Operation
from app.providers import PROVIDERS
from app.providers.base import Provider

SECRET = "made-up-secret-0123456789abcdef"
BASE_URL = "https://provider.example.net/root"
CODECS = {"openai_chat", "openai_responses", "anthropic_messages", "gemini_generate"}

every_provider = pytest.mark.parametrize(
    "provider", PROVIDERS.values(), ids=lambda provider: str(provider.name)
)


def credential(provider: Provider, base_url: str = BASE_URL) -> Credential:
    return Credential(
        id="id",
        provider=provider,
        provider_name=provider.name,
        secret=SECRET,
        base_url=base_url,
        label="label",
    )


@every_provider
def test_it_is_registered_under_its_own_name(provider: Provider) -> None:
    assert PROVIDERS[provider.name] is provider


@every_provider
@pytest.mark.parametrize("wire_api", ["", "chat", "responses"])
def test_it_speaks_protocols_that_exist(provider: Provider, wire_api: str) -> None:
    signer = credential(provider)
    spoken = provider.protocols(signer)
    assert spoken
    assert set(spoken) <= CODECS
    assert len(set(spoken)) == len(spoken)


@every_provider
@pytest.mark.parametrize("operation", Operation, ids=lambda operation: str(operation.value))
@pytest.mark.parametrize("protocol", sorted(CODECS))
@pytest.mark.parametrize("stream", [False, True])
def test_every_call_has_a_url_below_the_base_or_is_refused(
    provider: Provider, operation: Operation, protocol: str, stream: bool
) -> None:
    signer = credential(provider)
    try:
        url = provider.url(signer, protocol, operation, "some-model-1", stream)
    except Untranslatable:
        assert operation is not Operation.GENERATE or protocol not in provider.protocols(signer)
        return
    assert url.startswith(BASE_URL + "/")
    assert SECRET not in url
    assert "//" not in urlsplit(url).path
    assert urlsplit(url).fragment == ""


@every_provider
def test_generating_works_in_every_protocol_it_speaks(provider: Provider) -> None:
    signer = credential(provider)
    for protocol in provider.protocols(signer):
        assert provider.url(signer, protocol, Operation.GENERATE, "some-model-1", True)


@every_provider
@pytest.mark.parametrize(
    "model", ["../../admin", "..", "a?b=c", "a#b", "a b", "a\r\nx: y", "a%2e%2e/b"]
)
@pytest.mark.parametrize("operation", Operation, ids=lambda operation: str(operation.value))
def test_no_name_leaves_its_place_in_the_url(
    provider: Provider, operation: Operation, model: str
) -> None:
    signer = credential(provider)
    for protocol in provider.protocols(signer):
        try:
            url = provider.url(signer, protocol, operation, model, False)
        except GatewayError:
            continue
        parts = urlsplit(url)
        assert url.isascii()
        assert url.isprintable()
        assert " " not in url
        assert parts.path.startswith("/root/")
        assert not {".", ".."} & set(parts.path.split("/"))
        assert parts.query in {"", "alt=sse"}
        assert parts.fragment == ""


@every_provider
def test_headers_sign_the_call_in_lower_case(provider: Provider) -> None:
    headers = provider.headers(credential(provider))
    assert any(SECRET in value for value in headers.values())
    for name, value in {**headers, **provider.default_headers}.items():
        assert name == name.lower()
        assert value.isprintable()
    assert not headers.keys() & provider.default_headers.keys()


@every_provider
def test_without_a_key_nothing_is_signed(provider: Provider) -> None:
    class Keyless:
        secret = ""
        base_url = BASE_URL
        wire_api = ""

    assert provider.headers(Keyless()) == {}


@every_provider
def test_no_secret_is_shown(provider: Provider) -> None:
    assert SECRET not in repr(credential(provider))
    assert SECRET not in repr(provider)


@every_provider
def test_the_list_of_models(provider: Provider) -> None:
    url = provider.list_url(credential(provider))
    assert url.startswith(BASE_URL + "/")
    assert SECRET not in url
    for body in (b"", b"<html>", b"17", b'{"data":3,"models":3}'):
        with pytest.raises(Garbled):
            provider.read_models(body)
    assert provider.next_list_url(url, b'{"data":[],"models":[]}') == ""


@every_provider
@pytest.mark.parametrize(
    ("status", "blame", "told"),
    [
        (400, Blame.REQUEST, 400),
        (401, Blame.CREDENTIAL, 503),
        (402, Blame.CREDENTIAL, 503),
        (403, Blame.CREDENTIAL, 503),
        (408, Blame.UPSTREAM, 504),
        (409, Blame.REQUEST, 409),
        (413, Blame.REQUEST, 413),
        (415, Blame.REQUEST, 415),
        (422, Blame.REQUEST, 422),
        (429, Blame.MODEL, 429),
        (500, Blame.UPSTREAM, 500),
        (502, Blame.UPSTREAM, 502),
        (503, Blame.UPSTREAM, 503),
        (504, Blame.UPSTREAM, 504),
        (529, Blame.UPSTREAM, 529),
        (304, Blame.UPSTREAM, 502),
    ],
)
@pytest.mark.parametrize("body", [b"", b'{"error":{"message":"words"}}', b"<html>page</html>"])
def test_blame_by_status(
    provider: Provider, status: int, blame: Blame, told: int, body: bytes
) -> None:
    error = provider.verdict(status, {"x-request-id": "r1"}, body)
    assert isinstance(error, UpstreamError)
    assert (error.blame, error.status) == (blame, told)
    assert error.message
    assert error.reply is not None
    assert (error.reply.status, error.reply.body) == (status, body)


@every_provider
@pytest.mark.parametrize(
    ("status", "body", "blame", "told"),
    [
        (429, b'{"error":{"message":"m","type":"insufficient_quota"}}', Blame.CREDENTIAL, None),
        (404, b'{"error":{"message":"The model `x-1` does not exist"}}', Blame.MODEL, 404),
        (403, b"<html>cloudflare</html>", Blame.MODEL, 503),
        (
            401,
            b'{"error":{"type":"authentication_error","code":"invalid_request_error"}}',
            Blame.CREDENTIAL,
            503,
        ),
        (404, b"<html>nothing here</html>", Blame.UPSTREAM, 404),
    ],
)
def test_blame_by_words(
    provider: Provider, status: int, body: bytes, blame: Blame, told: int | None
) -> None:
    error = provider.verdict(status, {}, body)
    assert error.blame is blame
    assert told is None or error.status == told


@every_provider
def test_a_client_never_learns_of_a_401(provider: Provider) -> None:
    for status in range(300, 600):
        for body in (b"", b'{"error":{"message":"m"}}'):
            assert provider.verdict(status, {}, body).status != 401
