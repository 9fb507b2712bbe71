"""What the documents say is what the program does: routes, commands, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import flask
import pytest
import yaml

from app import cli
from app.factory import create_app

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "config.example.yaml")
)

CATCH_ALL = frozenset({"/v0/management/", "/v0/management/{path}"})
"""They are there so that unknown paths of the management API fail in its own words."""

UNASKED = frozenset({"/readyz"})
"""Opens the database, for which the server's own loop must run."""

PRIVATE = re.compile(
    r"/(?:work|root|home/\w+|tmp)/|/Users/\w+/"  # a machine's own paths
    r"|pypi\.org|pythonhosted\.org|registry\.npmjs\.org|proxy\.golang\.org"
    r"|\bTODO\b|\bFIXME\b|\bXXX\b",
)

ROUTE_ROW = re.compile(r"^\| (GET|POST|DELETE) \| `(/[^`]*)` \|([\w ]*)\|", re.MULTILINE)
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


def read(document: str) -> str:
    return (ROOT / document).read_text("utf-8")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> flask.Flask:
    directory = tmp_path_factory.mktemp("docs")
    settings = {
        "data-dir": str(directory / "data"),
        "api-keys": ["a-key-that-nobody-presents"],
        "remote-management": {"secret-key": "another-one"},
    }
    config = directory / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    return create_app({"AIPROXY_CONFIG": str(config), "HOME": str(directory)})


def served(app: flask.Flask) -> set[tuple[str, str]]:
    return {
        (method, path)
        for rule in app.url_map.iter_rules()
        if (path := PARAMETER.sub(r"{\1}", rule.rule)) not in CATCH_ALL
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def documented() -> list[tuple[str, str, str]]:
    return [(row[0], row[1], row[2].strip()) for row in ROUTE_ROW.findall(read("docs/api.md"))]


def test_every_route_is_documented_once_and_every_documented_route_is_served(
    app: flask.Flask,
) -> None:
    written = [(method, path) for method, path, _ in documented()]

    assert sorted(written) == sorted(served(app))


def test_every_gemini_method_that_is_documented_is_known(app: flask.Flask) -> None:
    section = read("docs/api.md").partition("Gemini's methods on a model:")[2].partition("\n\n`")[0]
    methods = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    client = app.test_client()

    statuses = {name: client.post(f"/v1beta/models/m:{name}").status_code for name in methods}

    assert len(methods) == 5
    # Without a key: 400 is how this protocol refuses one; a method it lacks would be 404.
    assert set(statuses.values()) == {400}
    assert client.post("/v1beta/models/m:noSuchMethod").status_code == 404


def test_every_route_of_a_protocol_asks_for_a_key_and_no_other_does(app: flask.Flask) -> None:
    client = app.test_client()
    asking, open_to_all = set(), set()
    for method, path, _ in documented():
        filled = path.replace("{target}", "m:generateContent" if method == "POST" else "m")
        filled = filled.replace("{response_id}", "resp_1")
        if path in UNASKED:
            continue
        answer = client.open(filled, method=method, json={})
        if answer.status_code in (400, 401) and b"API key" in answer.data:
            asking.add(path)
        elif answer.status_code == 200:
            open_to_all.add(path)

    assert asking == {path for _, path, protocol in documented() if protocol}
    assert open_to_all == {"/", "/health", "/healthz"}


def test_every_command_is_in_the_manual_and_every_one_there_exists() -> None:
    manual = read("docs/operations.md").partition("## Commands")[2].partition("\n## ")[0]
    rows = set(re.findall(r"^\| `aiproxyapi ([\w-]+)", manual, re.MULTILINE))

    assert rows == set(cli.main.commands)


def test_commands_and_options_named_anywhere_exist() -> None:
    for document in DOCUMENTS:
        for name, rest in re.findall(r"aiproxyapi ([a-z][\w-]*)([^`\n|]*)", _code(read(document))):
            command = cli.main.commands.get(name)
            assert command is not None, f"{document}: aiproxyapi {name}"
            unknown = set(re.findall(r"--[a-z][\w-]*", rest.partition("#")[0])) - _options(command)
            assert not unknown, f"{document}: aiproxyapi {name}"


def _options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def _code(text: str) -> str:
    """The code of a document: fenced blocks and spans, a line each."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`]+)`", rest)])


def test_every_make_target_named_in_a_document_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))

    for document in (*DOCUMENTS, ".ci/run"):
        text = read(document)
        code = text if document == ".ci/run" else _code(text)
        named = set(re.findall(r"^(?:\$ )?make ([a-z-]+)", code, re.MULTILINE))
        assert named <= targets, document


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(r"^make .*$", read(".ci/run"), re.MULTILINE)

    assert commands == ["make check", "make test"]
    assert "`.ci/run` runs the first two." in read("README.md")
    assert re.search(r"\$ make check .*\n\$ make test ", read("README.md"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for target in _links(read(document)):
        path, _, anchor = target.partition("#")
        file = (ROOT / document).parent / path if path else ROOT / document
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file.read_text("utf-8")), target


def _links(text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            yield target


def _anchors(text: str) -> set[str]:
    """The names that headings get where Markdown is shown."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_private_to_a_machine_is_written(document: str) -> None:
    assert not PRIVATE.findall(read(document))


def test_decisions_are_numbered_without_a_gap_and_all_listed() -> None:
    files = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))

    assert [int(name[:4]) for name in files] == list(range(1, len(files) + 1))
    assert re.findall(r"\((\d{4}-[\w-]+\.md)\)", read("docs/adr/README.md")) == files
    for name in files:
        text = read(f"docs/adr/{name}")
        assert text.startswith(f"# {int(name[:4])}. ")
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings == ["Context", "Decision", "What follows"], name
