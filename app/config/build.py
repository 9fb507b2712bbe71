"""Nodes of YAML to the dataclasses of the schema, driven by type hints and field metadata."""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import types
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml

from app.config.checks import KINDS, Place, Unfit, Wrong, has_control, header
from app.config.legacy import KNOWN_ELSEWHERE, RESHAPE, kebab
from app.config.nodes import Pair, is_null, is_plain, join, map_node, pairs, shape_of, text_node
from app.config.report import Report
from app.config.secrets import SecretMissing, resolve

Metadata = Mapping[str, Any]
Section = Any
"""One of the schema's dataclasses; mypy does not take ``type[Any]`` for hashable."""

_WHOLE = re.compile(r"[+-]?\d{1,15}")
_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d*)?|\.\d+)([eE][+-]?\d{1,2})?")
_TRUE = ("true", "yes", "on")
_FALSE = ("false", "no", "off")


class Absent(enum.Enum):
    """Stands for a value that is not there; the default holds."""

    ABSENT = enum.auto()


ABSENT = Absent.ABSENT


class Builder:
    """Reads sections; keeps where each setting was written and what must be said at the end."""

    def __init__(self, report: Report, environ: Mapping[str, str]) -> None:
        self.nodes: dict[str, yaml.Node] = {}
        """Dotted path → where its value stands."""
        self._report = report
        self._place = Place(environ)
        self._elsewhere: dict[tuple[str, str], list[tuple[yaml.Node, str]]] = {}

    def section(self, cls: Section, node: yaml.Node, path: str) -> Any:
        """A dataclass of the schema, or ABSENT when the entry is unusable and that was said."""
        if isinstance(node, yaml.ScalarNode) and (name := _shorthand(cls, "value")):
            node = map_node([(text_node(name, node), node)], node)
        if not isinstance(node, yaml.MappingNode):
            self._report.error(f"must be a mapping, not {shape_of(node)}", node, path)
            return ABSENT
        entries = pairs(node, path, self._report)
        if reshape := RESHAPE.get(cls):
            entries = reshape(entries, path, self._report)
        written = self._sort(cls, entries, path)
        values: dict[str, Any] = {}
        errors = len(self._report.errors)
        for field in dataclasses.fields(cls):
            value = self._field(cls, field, written.get(field.name, []), path)
            if value is not ABSENT:
                values[field.name] = value
        missing = _missing(cls, values)
        if missing and len(self._report.errors) == errors:
            self._report.warn(f"is left out: its `{kebab(missing)}` is missing", node, path)
        return ABSENT if missing else cls(**values)

    def finish(self) -> None:
        """Say of each key known elsewhere, once, what it does here."""
        for (_, message), places in self._elsewhere.items():
            node, path = places[0]
            more = f" (and in {len(places) - 1} more places)" if len(places) > 1 else ""
            self._report.warn(message + more, node, path)

    def convert(self, hint: Any, metadata: Metadata, node: yaml.Node, path: str) -> Any:
        """One value of the type ``hint``, or ABSENT after saying why not."""
        if is_null(node):
            return ABSENT
        if not self._has_meaning(node, path):
            return ABSENT
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self.section(hint, node, path)
        if metadata["kind"] == "headers":
            return self._headers(node, path)
        try:
            return self._scalar(hint, metadata, node, path)
        except Wrong as error:
            self._report.error(str(error), node, path)
        except Unfit as warning:
            self._report.warn(str(warning), node, path)
        return ABSENT

    def default(self, field: dataclasses.Field[Any]) -> Any:
        """What holds when a key is absent: as in the schema, with ``~`` expanded."""
        if field.metadata["kind"] == "path" and isinstance(field.default, str):
            return KINDS["path"](field.default, self._place) if field.default else field.default
        return ABSENT

    # entries of a mapping

    def _sort(self, cls: Section, entries: list[Pair], path: str) -> dict[str, list[Pair]]:
        """Field name → its entries, the ones under its own name before older spellings."""
        names = names_of(cls)
        written: dict[str, list[Pair]] = {}
        for pair in entries:
            if (name := names.get(kebab(pair.name))) is None:
                self._stranger(cls, pair, path)
                continue
            same = written.setdefault(name, [])
            if any(kebab(pair.name) == kebab(other.name) for other in same):
                message = f"is written twice, also as `{same[0].name}`"
                self._report.error(message, pair.key, join(path, pair.name))
            own = kebab(pair.name) == kebab(name)
            same.insert(0 if own else len(same), pair)
        return written

    def _stranger(self, cls: Section, pair: Pair, path: str) -> None:
        where = join(path, pair.name)
        if message := KNOWN_ELSEWHERE.get(cls, {}).get(kebab(pair.name)):
            kind = re.sub(r"\[\d+\]", "", where)
            self._elsewhere.setdefault((kind, message), []).append((pair.key, where))
        elif not pair.name.startswith("x-"):  # the customary place for anchors
            near = _nearest(kebab(pair.name), names_of(cls))
            hint = f"; did you mean `{near}`?" if near else ""
            self._report.warn(f"is not a setting{hint}", pair.key, where)

    def _field(
        self, cls: Section, field: dataclasses.Field[Any], entries: list[Pair], path: str
    ) -> Any:
        hint, metadata = hints_of(cls)[field.name], field.metadata
        values: list[Any] = []
        items: list[_Item] = []
        for pair in entries:
            where = join(path, pair.name)
            self.nodes.setdefault(join(path, kebab(field.name)), pair.value)
            if typing.get_origin(hint) is tuple:
                items += self._items(typing.get_args(hint)[0], metadata, pair.value, where)
            elif (value := self.convert(hint, metadata, pair.value, where)) is not ABSENT:
                values.append(value)
        if typing.get_origin(hint) is tuple:
            return tuple(self._distinct(items, metadata))
        for pair in entries[1:]:
            message = f"does nothing beside `{entries[0].name}`"
            self._report.warn(message, pair.key, join(path, pair.name))
        return values[0] if values else self.default(field)

    # lists and mappings

    def _items(self, hint: Any, metadata: Metadata, node: yaml.Node, path: str) -> list[_Item]:
        """The usable entries of a list."""
        found = []
        for item, where in self._members(hint, node, path):
            value = ABSENT if is_null(item) else self.convert(hint, metadata, item, where)
            if value is ABSENT or value == "":
                continue
            if lacking := [name for name in metadata["needs"] if not getattr(value, name)]:
                message = f"is left out: its `{kebab(lacking[0])}` is missing"
                self._report.warn(message, item, where)
            else:
                found.append(_Item(value, item, where))
        return found

    def _members(self, hint: Any, node: yaml.Node, path: str) -> list[tuple[yaml.Node, str]]:
        """The nodes of a list's entries and their paths; a lone value is a list of one."""
        if is_null(node) or not self._has_meaning(node, path):
            return []
        if isinstance(node, yaml.SequenceNode):
            return [(item, f"{path}[{index}]") for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            lone = hint is str or bool(_shorthand(hint, "value"))
            if lone or not node.value.strip():
                return [(node, path)] if node.value.strip() else []
        elif isinstance(node, yaml.MappingNode) and (name := _shorthand(hint, "key")):
            value = _shorthand(hint, "value")
            return [
                (
                    map_node(
                        [
                            (text_node(name, pair.key), pair.key),
                            (text_node(value, pair.key), pair.value),
                        ],
                        pair.key,
                    ),
                    join(path, pair.name),
                )
                for pair in pairs(node, path, self._report)
            ]
        self._report.error("must be a list; begin each entry with `- `", node, path)
        return []

    def _distinct(self, items: list[_Item], metadata: Metadata) -> list[Any]:
        """The entries without those that say the same as an earlier one."""
        seen: dict[Any, str] = {}
        kept = []
        for item in items:
            names = metadata["distinct"]
            token = tuple(_hashable(getattr(item.value, name)) for name in names) or item.value
            if (names or isinstance(item.value, str)) and token in seen:
                message = f"is the same as `{seen[token]}` and is left out"
                self._report.warn(message, item.node, item.path)
                continue
            if names or isinstance(item.value, str):
                seen[token] = item.path
            kept.append(item.value)
        return kept

    def _headers(self, node: yaml.Node, path: str) -> Any:
        if not isinstance(node, yaml.MappingNode):
            message = f"must be a mapping of names to values, not {shape_of(node)}"
            self._report.error(message, node, path)
            return ABSENT
        headers: dict[str, str] = {}
        for pair in pairs(node, path, self._report):
            where = join(path, pair.name)
            try:
                name, value = header(pair.name, self._text(pair.value, secret=True))
                if name.lower() in map(str.lower, headers):
                    raise Wrong("is written twice: upper and lower case mean the same")
                headers[name] = value
            except Wrong as error:
                self._report.error(str(error), pair.value, where)
            except Unfit as warning:
                self._report.warn(str(warning), pair.key, where)
        return MappingProxyType(headers)

    # single values

    def _scalar(self, hint: Any, metadata: Metadata, node: yaml.Node, path: str) -> Any:
        kind = bare(hint)
        if kind is str:
            return self._word(metadata, node)
        text = self._text(node, secret=False)
        if kind is bool:
            return _bool(text)
        if kind is int or kind is float:
            number = _number(kind, text, metadata)
            if number < 0 and metadata["least"] == 0:
                self._report.warn("is below 0 and counts as 0", node, path)
                return kind(0)
            return number
        raise TypeError(f"the schema has a type that cannot be read: {hint}")

    def _word(self, metadata: Metadata, node: yaml.Node) -> str:
        text = self._text(node, secret=metadata["secret"])
        if has_control(text):
            raise Wrong("must not hold line breaks or other control characters")
        if choices := metadata["choices"]:
            if text.lower() not in choices:
                raise Wrong(f"must be {' or '.join(f'`{c}`' for c in choices if c)}, not {text!r}")
            return text.lower()
        if not (check := KINDS.get(metadata["kind"])):
            return text
        try:
            return check(text, self._place)
        except Wrong as error:
            if metadata["secret"]:
                raise
            raise Wrong(f"{error}, not {_shown(text)}") from error

    def _text(self, node: yaml.Node, *, secret: bool) -> str:
        """The text of a single value, as it was written: ``on`` stays ``on``, 010 stays 010."""
        if not isinstance(node, yaml.ScalarNode):
            raise Wrong(f"must be a single value, not {shape_of(node)}")
        text = "" if is_null(node) else str(node.value).strip()
        try:
            return resolve(text, self._place.environ) if secret else text
        except SecretMissing as error:
            raise Wrong(str(error)) from error

    def _has_meaning(self, node: yaml.Node, path: str) -> bool:
        if is_plain(node):
            return True
        message = f"has a tag ({node.tag}) that means nothing here; leave it out"
        self._report.error(message, node, path)
        return False


@dataclasses.dataclass(frozen=True, slots=True)
class _Item:
    """An entry of a list and where it stands."""

    value: Any
    node: yaml.Node
    path: str


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise Wrong(f"must be true or false, not {_shown(text)}")


def _number(kind: type[int] | type[float], text: str, metadata: Metadata) -> float:
    least, most = metadata["least"], metadata["most"]
    pattern, noun = (_WHOLE, "a whole number") if kind is int else (_NUMBER, "a number")
    wanted = f"must be {noun} from {plain(least)} to {plain(most)}, not {_shown(text)}"
    if not pattern.fullmatch(text):
        raise Wrong(wanted)
    number = kind(text)
    if number > most or (number < least and least != 0):
        raise Wrong(wanted)
    return number


def plain(number: float) -> str:
    """A number as people write it: 86400, not 8.64e+04."""
    return str(int(number)) if float(number).is_integer() else str(number)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def bare(hint: Any) -> Any:
    """The type without ``| None``."""
    if isinstance(hint, types.UnionType):
        return next(each for each in typing.get_args(hint) if each is not types.NoneType)
    return hint


def _hashable(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


def _missing(cls: Section, values: Mapping[str, Any]) -> str:
    """The first required field that is absent or blank; empty when there is none."""
    for field in dataclasses.fields(cls):
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and not values.get(field.name):
            return field.name
    return ""


def _shorthand(cls: Section, role: str) -> str:
    """The field of a section that plays a part when the section is written in short."""
    if not dataclasses.is_dataclass(cls):
        return ""
    fields = dataclasses.fields(cls)
    return next((each.name for each in fields if each.metadata["shorthand"] == role), "")


@functools.cache
def hints_of(cls: Section) -> Mapping[str, Any]:
    """Field name → type of a section."""
    return MappingProxyType(typing.get_type_hints(cls))


@functools.cache
def names_of(cls: Section) -> Mapping[str, str]:
    """Every spelling of a section's keys → field name."""
    names = {}
    for field in dataclasses.fields(cls):
        for spelling in (field.name, *field.metadata["aliases"]):
            names[kebab(spelling)] = field.name
    return MappingProxyType(names)


def _nearest(name: str, names: Mapping[str, str]) -> str:
    import difflib  # needed for a typing error alone

    own = [kebab(each) for each in names.values()]
    return next(iter(difflib.get_close_matches(name, dict.fromkeys(own), n=1)), "")
