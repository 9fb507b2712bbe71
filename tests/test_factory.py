from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import ConfigError
from app.factory import create_app
from app.services import Services
from app.storage import IN_MEMORY
from tests.fakes.greenlets import cooperate, settle


@pytest.fixture(autouse=True)
def _cooperative(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    cooperate(monkeypatch)
    yield
    settle()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.yaml").write_text(
        f'api-keys: [client-key]\ndatabase-url: "{IN_MEMORY}"\ndata-dir: {tmp_path}\n'
        "model-list-interval: 0\nremote-management: {secret-key: management-key}\n"
    )
    return {"AIPROXY_CONFIG": str(tmp_path / "config.yaml")}


def test_the_application(environ: dict[str, str]) -> None:
    app = create_app(environ)
    services = app.extensions["services"]
    assert isinstance(services, Services)
    client = app.test_client()
    assert client.get("/health").json == {"status": "ok", "version": services.version}
    got = client.post(
        "/v1/chat/completions",
        json={"model": "demo-echo", "messages": [{"role": "user", "content": "hello"}]},
        headers={"Authorization": "Bearer client-key"},
    )
    assert got.status_code == 200
    usage = "/v0/management/usage"
    assert client.get(usage).status_code == 401
    report = client.get(usage, headers={"Authorization": "Bearer management-key"})
    assert report.status_code == 200
    assert client.get("/static/x").status_code == 404
    services.stop()


def test_two_applications_share_nothing(environ: dict[str, str]) -> None:
    one, two = create_app(environ), create_app(environ)
    assert one.extensions["services"] is not two.extensions["services"]


def test_the_environment_of_the_process(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIPROXY_CONFIG", environ["AIPROXY_CONFIG"])
    assert create_app().extensions["services"].config().api_keys == ("client-key",)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        create_app({"AIPROXY_CONFIG": str(tmp_path / "absent.yaml")})
