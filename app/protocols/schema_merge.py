"""JSON Schema's references and conjunctions: finding what is meant, making one node of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

Node: TypeAlias = dict[str, Any]

TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_STEPS = 20_000
_DEPTH = 40
_LAST_WINS = frozenset({"description", "title", "default"})
_MAPS = frozenset({"properties", "$defs", "definitions", "patternProperties"})


def node_of(value: object) -> Node:
    """A schema as a node; a boolean or broken one is a node without limits."""
    return dict(value) if isinstance(value, Mapping) else {}


def list_of(value: object) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def names_of(value: object) -> list[str]:
    """The texts of a list, each once, in order."""
    return list(dict.fromkeys(name for name in list_of(value) if isinstance(name, str)))


def types_of(node: Node) -> list[str]:
    """What ``type`` allows; empty when it says nothing that JSON Schema knows."""
    said = node.get("type")
    names = [said] if isinstance(said, str) else names_of(said)
    return [name.lower() for name in names if name.lower() in TYPES]


class Root:
    """A whole schema, in which references are looked up."""

    def __init__(self, schema: object) -> None:
        self.schema = node_of(schema)
        self._steps = 0

    def find(self, ref: str) -> object | None:
        """What a reference inside this document means; None when it leads nowhere."""
        if not ref.startswith("#"):
            return None
        found: object = self.schema
        for step in unquote(ref[1:]).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            else:
                return None
        is_whole = ref in ("#", "#/") or ref.startswith("#/")
        return found if is_whole and isinstance(found, dict | bool) else None

    def stub(self, ref: str) -> Node:
        """What stands where a reference is not followed: an object, in the target's words."""
        words = node_of(self.find(ref)).get("description")
        return {"type": "object", **({"description": words} if isinstance(words, str) else {})}

    def definition(self, ref: str) -> str | None:
        """The name of the definition at the root that a reference means, if it is one."""
        for place in ("#/$defs/", "#/definitions/"):
            name = unquote(ref.removeprefix(place)).replace("~1", "/").replace("~0", "~")
            if ref.startswith(place) and "/" not in ref[len(place) :]:
                return name if self.find(ref) is not None else None
        return None

    def flat(
        self, node: Node, seen: frozenset[str], depth: int = 0
    ) -> tuple[Node, frozenset[str], str]:
        """A node without a reference or ``allOf`` of its own.

        Args:
            node: as it came.
            seen: the references that have led here; one of them again would be a loop.
            depth: how many ``allOf`` stand around it.

        Returns:
            The node, the references that have led to it, and the reference at which it was cut
            because it loops or leads nowhere; empty for none.
        """
        cut, reached = "", seen
        while "$ref" in node or "allOf" in node:
            ref, branches = node.get("$ref"), list_of(node.get("allOf"))
            node = {name: value for name, value in node.items() if name not in ("$ref", "allOf")}
            if isinstance(ref, str):
                target = None if ref in seen or self.is_spent() else self.find(ref)
                cut = cut or (ref or "?" if target is None else "")
                seen |= {ref}
                node = merged(merged(node_of(target), {"allOf": branches}), node)
                continue
            for branch in branches if depth < _DEPTH and not self.is_spent() else ():
                inner, more, inner_cut = self.flat(node_of(branch), seen, depth + 1)
                cut, reached = cut or inner_cut, reached | more
                node = merged(inner, node)
        return node, reached | seen, cut

    def is_spent(self) -> bool:
        """Count one more step; True when references have multiplied beyond all use."""
        self._steps += 1
        return self._steps > _STEPS


def merged(first: Node, second: Node) -> Node:
    """A node that asks what both ask; where only one can be said, the second has its way."""
    whole = dict(first)
    for name, value in second.items():
        if name in whole and name not in _LAST_WINS:
            whole[name] = _both(name, whole[name], value)
        else:
            whole[name] = value
    return whole


def _both(name: str, one: Any, other: Any) -> Any:
    if name in _MAPS and isinstance(one, dict) and isinstance(other, dict):
        shared = {
            key: value if one[key] == value else {"allOf": [one[key], value]}
            for key, value in other.items()
            if key in one
        }
        return {**one, **other, **shared}
    if name == "allOf":
        return list_of(one) + list_of(other)
    if name == "required":
        return names_of(list_of(one) + list_of(other))
    if name == "enum" and isinstance(one, list) and isinstance(other, list):
        return [value for value in one if value in other] or other
    if name == "type":
        return _type_of_both(one, other)
    return other


def _type_of_both(one: object, other: object) -> object:
    left, right = types_of({"type": one}), types_of({"type": other})
    if not left or not right:
        return one if left else other
    shared = [name for name in left if name in right]
    if "integer" in left + right and "number" in left + right and "integer" not in shared:
        shared.append("integer")
    kept = shared or right
    return kept if len(kept) > 1 else kept[0]


def shared_names(lists: Iterable[object]) -> list[str]:
    """The names that stand in every list."""
    found = [names_of(one) for one in lists]
    first, rest = (found[0], found[1:]) if found else ([], [])
    return [name for name in first if all(name in other for other in rest)]
