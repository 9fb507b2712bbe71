"""YAML text to a tree of nodes, each of which knows its line."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from app.config.report import Report, line_of
from app.errors import ConfigError

_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML on libyaml; the slow twin where a wheel came without it."""

_MERGE = "tag:yaml.org,2002:merge"
_STANDARD = "tag:yaml.org,2002:"

_DEEPEST = 200
"""Levels of nesting; the schema has six."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One entry of a mapping; ``name`` is the key as it was written."""

    name: str
    key: yaml.Node
    value: yaml.Node


def compose(text: str, file: str) -> yaml.MappingNode:
    """Read YAML into nodes.

    Raises:
        ConfigError: it is empty, no YAML, or not a mapping.
    """
    try:
        _refuse_depths(text, file)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        raise _not_yaml(error, file) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"is not valid YAML: the character U+{code:04X} is not allowed"
        raise ConfigError(message, file=file, line=line) from error
    if root is None or is_null(root):
        raise ConfigError("is empty: it holds no setting", file=file)
    if not isinstance(root, yaml.MappingNode):
        message = f"must be a mapping of settings such as `port: 8317`, not {shape_of(root)}"
        raise ConfigError(message, file=file, line=line_of(root))
    return root


def _refuse_depths(text: str, file: str) -> None:
    """Keep from the composer what would overflow its stack: it recurses in C and takes no care.

    Every level costs a bracket or a column, so that a look at the text spares most files the
    second parsing.
    """
    brackets = text.count("[") + text.count("{")
    if brackets < _DEEPEST and all(len(line) < _DEEPEST for line in text.splitlines()):
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            line = event.start_mark.line + 1 if event.start_mark else None
            message = "is nested too deeply to be a configuration"
            raise ConfigError(message, file=file, line=line)


def _not_yaml(error: yaml.MarkedYAMLError, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it cannot be read"
    if "cannot start any token" in problem:
        problem += " (indent with blanks, not with tabs, and quote values that begin with @ or `)"
    elif "mapping values are not allowed" in problem:
        problem += " (quote values that hold a colon and a blank, and look at the indentation)"
    line = None if mark is None else mark.line + 1
    return ConfigError(f"is not valid YAML: {problem}", file=file, line=line)


def is_null(node: yaml.Node) -> bool:
    """Whether nothing, ``~`` or ``null`` is written there."""
    return isinstance(node, yaml.ScalarNode) and node.tag == f"{_STANDARD}null"


def is_plain(node: yaml.Node) -> bool:
    """Whether the node has one of YAML's own tags, not a ``!custom`` one."""
    return node.tag.startswith(_STANDARD)


def shape_of(node: yaml.Node) -> str:
    """What a node is, in the operator's words."""
    match node:
        case yaml.MappingNode():
            return "a mapping"
        case yaml.SequenceNode():
            return "a list"
        case _:
            return "nothing" if is_null(node) else "a single value"


def pairs(node: yaml.MappingNode, path: str, report: Report) -> list[Pair]:
    """The entries of a mapping; a ``<<`` merge is laid under them, a repeated key is an error."""
    own: dict[str, Pair] = {}
    merged: list[yaml.MappingNode] = []
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            report.error(f"a key must be a word, not {shape_of(key)}", key, path)
        elif key.tag == _MERGE:
            merged.extend(_merged(value, path, report))
        elif key.value in own:
            first = line_of(own[key.value].key)
            report.error(f"is written twice, first in line {first}", key, join(path, key.value))
        else:
            own[key.value] = Pair(key.value, key, value)
    for mapping in merged:
        _lay_under(own, mapping, path, report, seen={id(node)})
    return list(own.values())


def _lay_under(
    own: dict[str, Pair], mapping: yaml.MappingNode, path: str, report: Report, seen: set[int]
) -> None:
    """Add what ``own`` lacks; ``seen`` ends the walk where an anchor holds itself."""
    if id(mapping) in seen:
        return
    seen.add(id(mapping))
    deeper: list[yaml.MappingNode] = []
    for key, value in mapping.value:
        if not isinstance(key, yaml.ScalarNode):
            continue  # reported where the mapping itself is read
        if key.tag == _MERGE:
            deeper.extend(_merged(value, path, report))
        else:
            own.setdefault(key.value, Pair(key.value, key, value))
    for each in deeper:
        _lay_under(own, each, path, report, seen)


def _merged(value: yaml.Node, path: str, report: Report) -> list[yaml.MappingNode]:
    nodes = value.value if isinstance(value, yaml.SequenceNode) else [value]
    for node in nodes:
        if not isinstance(node, yaml.MappingNode):
            report.error(f"must name a mapping, not {shape_of(node)}", node, join(path, "<<"))
    return [node for node in nodes if isinstance(node, yaml.MappingNode)]


def join(path: str, name: str) -> str:
    """The dotted path of a key below another."""
    return f"{path}.{name}" if path else name


def text_node(value: str, like: yaml.Node) -> yaml.ScalarNode:
    """A plain text that stands where another node stands."""
    return yaml.ScalarNode(f"{_STANDARD}str", value, like.start_mark, like.end_mark)


def list_node(items: list[yaml.Node], like: yaml.Node) -> yaml.SequenceNode:
    """A list that stands where another node stands."""
    return yaml.SequenceNode(f"{_STANDARD}seq", items, like.start_mark, like.end_mark)


def map_node(entries: list[tuple[yaml.Node, yaml.Node]], like: yaml.Node) -> yaml.MappingNode:
    """A mapping that stands where another node stands."""
    return yaml.MappingNode(f"{_STANDARD}map", entries, like.start_mark, like.end_mark)
