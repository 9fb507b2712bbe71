"""What the documents say of translation is what the code does: losses, refusals, pairs, levels."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ir.extras import REFUSED, UNMISSED
from app.ir.reasoning import BUDGETS, split_suffix
from app.protocols import CODECS
from app.protocols.anthropic_messages import request as messages_request
from app.protocols.anthropic_messages.offers import read_tools
from app.protocols.base import Operation
from app.protocols.openai_chat import request as chat_request
from app.protocols.openai_responses import request as responses_request

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = (ROOT / "docs/translation.md").read_text("utf-8")

TITLES = {
    "openai_chat": "Chat Completions",
    "openai_responses": "Responses",
    "anthropic_messages": "Messages",
    "gemini_generate": "Gemini",
}

COMPUTED = {
    # a member, a tool or a content block that only the client's protocol has
    "extra.what",
    "part.what",
    "what",
    "tool.name",
    "tool.raw.what if tool.raw is not None else tool.kind.value",
    "tool.raw.what if tool.raw else tool.name or tool.kind.value",
    "option",  # of a web search
    # handed on from one list of losses to another
    "name",
    "loss.name",
}
"""How losses are named whose names do not stand where they are made."""


def section(heading: str) -> str:
    """The text below a heading, up to the next of any level."""
    pattern = rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)"
    found = re.search(pattern, DOCUMENT, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of all rows of tables, heads and rules included."""
    lines = re.findall(r"^\| ?(.*?) ?\|$", text, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def losses() -> tuple[set[str], set[str]]:
    """Names of losses that are written in the code, and the expressions of those that are not."""
    written: set[str] = set()
    computed: set[str] = set()
    for path in (*ROOT.glob("app/protocols/**/*.py"), *ROOT.glob("app/ir/*.py")):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            loops = strings_of_loops(function)
            for name in named_losses(function):
                if isinstance(name, ast.Constant):
                    written.add(str(name.value))
                elif isinstance(name, ast.Name) and name.id in loops:
                    written |= loops[name.id]
                else:
                    computed.add(ast.unparse(name))
    return written, computed


def named_losses(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """What stands for a name where a loss is made.

    ``Loss(name)`` and ``_lose(name, ...)`` make one; ``_put`` and ``_chance`` do when they are
    told that the target may not know the member.
    """
    for node in ast.walk(function):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        if called in ("Loss", "_lose"):
            yield from node.args
        elif called in ("_put", "_chance") and (len(node.args) > 2 or node.keywords):
            yield node.args[0]


def strings_of_loops(function: ast.FunctionDef) -> dict[str, set[str]]:
    """The strings that a function's loops run over, by the loop's first variable."""
    tables: dict[str, list[ast.expr | None]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            tables |= {ast.unparse(target): node.value.keys for target in targets}
    found: dict[str, set[str]] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.For | ast.comprehension):
            continue
        entries: list[ast.expr | None] = []
        if isinstance(node.iter, ast.Tuple):
            entries = [e.elts[0] if isinstance(e, ast.Tuple) else e for e in node.iter.elts]
        elif isinstance(node.iter, ast.Call):
            entries = tables.get(ast.unparse(node.iter.func).removesuffix(".items"), [])
        target = node.target.elts[0] if isinstance(node.target, ast.Tuple) else node.target
        constants = [entry.value for entry in entries if isinstance(entry, ast.Constant)]
        strings = {value for value in constants if isinstance(value, str)}
        if strings:
            found[ast.unparse(target)] = strings
    return found


def search_options() -> set[str]:
    """The options of a web search, which a provider may lose one by one."""
    tool = {
        "type": "web_search_20250305",
        "name": "web_search",
        "allowed_domains": ["a.example"],
        "blocked_domains": ["b.example"],
        "user_location": {"type": "approximate", "city": "Oslo"},
        "max_uses": 3,
    }
    return {option for read in read_tools([tool]) for option in read.options}


def test_every_loss_is_documented_and_every_documented_one_exists() -> None:
    table, _, _ = section("Names in X-Aiproxy-Loss").partition("Beside these")
    documented = [span for row in rows(table) for span in spans(row[0])]
    written, _ = losses()

    assert len(written) > 20  # the search finds what it is for
    assert sorted(documented) == sorted(written | search_options())


def test_losses_are_named_where_they_are_made_or_after_the_clients_own_words() -> None:
    _, computed = losses()

    assert computed == COMPUTED


def test_members_that_can_be_named_are_those_that_the_readers_keep() -> None:
    kept = {
        "Chat Completions": {*chat_request._OWN, "best_of", "echo", "suffix"},
        "Responses": set(responses_request._EXTRAS),
        "Messages": set(messages_request._TOLD),
    }
    _, _, table = section("Names in X-Aiproxy-Loss").partition("members that can be named")
    documented = {row[0]: set(spans(row[1])) for row in rows(table) if row[0] in kept}

    assert documented == {title: members - REFUSED - UNMISSED for title, members in kept.items()}


def test_extras_that_are_refused_or_not_missed_are_all_named() -> None:
    refused = [span for row in rows(section("Refused")) for span in spans(row[0])]
    unmissed = section("Names in X-Aiproxy-Loss").partition("Nothing is said of ")[2]

    assert set(refused) - REFUSED == {"n", "candidateCount", "/v1/completions"}
    assert set(refused) >= REFUSED
    assert set(spans(unmissed.partition(", which")[0])) == UNMISSED


def test_every_pair_of_protocols_is_named() -> None:
    assert TITLES.keys() == CODECS.keys()

    pairs = rows(DOCUMENT.partition("all twelve ways")[2].partition("\n\nWhen")[0])[2:]

    assert {row[0]: set(row[1].split(", ")) for row in pairs} == {
        title: set(TITLES.values()) - {title} for title in TITLES.values()
    }


@pytest.mark.parametrize("heading", ["Requests", "Answers"])
def test_every_concept_is_told_for_each_protocol(heading: str) -> None:
    head, _, *concepts = rows(section(heading))

    assert head[1:] == list(TITLES.values())
    assert len(concepts) > 15
    assert all(len(row) == 5 and all(row) for row in concepts)


def test_levels_and_suffixes_are_those_of_the_table() -> None:
    text = section("How much to think")
    levels, _, tokens = rows(text)
    suffixed = [span for span in spans(text) if span.startswith("model(")]

    assert dict(zip(levels[1:], map(int, tokens[1:]), strict=True)) == BUDGETS
    assert len(suffixed) == 5
    assert all(split_suffix(name)[0] == "model" for name in suffixed)


def test_examples_of_the_clients_own_words_are_read_as_such() -> None:
    body = b'{"contents":[{"parts":[{"text":"Hi"}]}],"safetySettings":[],"cachedContent":"c"}'
    request = CODECS["gemini_generate"].decode_request(
        body, Operation.GENERATE, model="m", stream=False
    )

    assert [extra.what for extra in request.extras] == ["safety_settings", "cached_content"]
