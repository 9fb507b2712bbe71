from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.upstream.transport import Transport
from tests.fakes.certificates import Certificate, make_certificate
from tests.fakes.upstream import ScriptedUpstream


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def transport() -> Iterator[Transport]:
    transport = Transport(pool_size=100)
    yield transport
    transport.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def tls_upstream(certificate: Certificate) -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(tls=certificate.server) as server:
        yield server


@pytest.fixture
def tls_transport(certificate: Certificate) -> Iterator[Transport]:
    transport = Transport(pool_size=100, ca_file=certificate.ca_file)
    yield transport
    transport.close()
