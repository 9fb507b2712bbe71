"""JSON Schema for Gemini, which knows two smaller forms of it and refuses every other keyword.

Source: ai.google.dev, "Schema" and "FunctionDeclaration"; google-genai 3.4, ``types.py``, read
2026-11-21. Where a keyword cannot be kept, its meaning goes into the description.
"""

from __future__ import annotations

from app.protocols.schema_keywords import (
    describe,
    described,
    distinct,
    escaped,
    guess,
    require,
    simple,
    spoken,
    told,
    union_of,
    words_of,
)
from app.protocols.schema_merge import Node, Root, list_of, merged, names_of, node_of, types_of

_DEPTH = 40
_NESTS = frozenset({"anyOf", "oneOf"})
_OF_TYPE = {
    "string": ("minLength", "maxLength", "pattern"),
    "array": ("minItems", "maxItems"),
    "object": ("minProperties", "maxProperties"),
    "number": ("minimum", "maximum"),
    "integer": ("minimum", "maximum"),
    "boolean": (),
    "null": (),
}
_JSON_KEEPS = frozenset({"minItems", "maxItems", "minimum", "maximum"})


def open_api(schema: object) -> Node:
    """The form of ``parameters`` and ``responseSchema``: no references, one type a node."""
    return _OpenApi(Root(schema)).node(schema, frozenset({"#"}), 0)


def json_schema(schema: object) -> Node:
    """The form of ``parametersJsonSchema`` and ``responseJsonSchema``."""
    return _JsonForm(Root(schema)).whole()


class _OpenApi:
    def __init__(self, root: Root) -> None:
        self._root = root

    def node(self, schema: object, seen: frozenset[str], depth: int) -> Node:
        if depth > _DEPTH or self._root.is_spent():
            return {"type": "OBJECT"}
        node, seen, cut = self._root.flat(node_of(schema), seen)
        if cut:
            node = merged(self._root.stub(cut), node)
        node, hints = spoken(node)
        is_nullable = node.pop("nullable", None) is True
        branches, is_optional = union_of(node)
        if is_optional:
            is_nullable = True
        union = "anyOf" if "anyOf" in node else "oneOf"
        if branches is not None and len(branches) < 2:
            rest = {name: value for name, value in node.items() if name != union}
            joined = merged(branches[0] if branches else {}, rest)
            if is_nullable:
                joined["nullable"] = True
            return self.node(told(joined, hints), seen, depth + 1)
        if branches is not None:
            return self._union(node, branches, hints, is_nullable, seen, depth)
        types = types_of(node) or [guess(node)]
        is_nullable = is_nullable or "null" in types
        types = [name for name in types if name != "null"] or ["string"]
        if "integer" in types and "number" in types:
            types.remove("integer")
        if len(types) > 1:
            single = [{**node, "type": name} for name in types]
            for one in single:
                one.pop("description", None)
            return self._union(node, single, hints, is_nullable, seen, depth)
        written = self._typed(node, types[0], hints, seen, depth)
        return {**written, "nullable": True} if is_nullable else written

    def _union(
        self,
        node: Node,
        branches: list[Node],
        hints: list[str],
        is_nullable: bool,
        seen: frozenset[str],
        depth: int,
    ) -> Node:
        """A node of several kinds; the server wants no keyword of a type beside the list."""
        rest = {
            name: value
            for name, value in node.items()
            if name not in _NESTS and name not in ("description", "title", "default", "type")
        }
        said = {"type": node["type"]} if len(types_of(node)) == 1 else {}
        inner = [self.node(merged({**said, **rest}, one), seen, depth + 1) for one in branches]
        written: Node = {"anyOf": inner}
        describe(written, node, hints)
        return {**written, "nullable": True} if is_nullable else written

    def _typed(
        self, node: Node, kind: str, hints: list[str], seen: frozenset[str], depth: int
    ) -> Node:
        written: Node = {"type": kind.upper()}
        for name, value in simple(node, kind, hints, _OF_TYPE[kind]):
            written[name] = value
        if kind == "string" and (words := names_of(node.get("enum"))):
            written["enum"] = [word for word in words if word]
        if kind == "array":
            written["items"] = self._items(node, seen, depth)
        if kind == "object":
            self._members(written, node, hints, seen, depth)
        describe(written, node, hints)
        return written

    def _items(self, node: Node, seen: frozenset[str], depth: int) -> Node:
        entries = list_of(node.get("prefixItems")) or list_of(node.get("items"))
        if entries:
            return self.node({"anyOf": distinct(entries)}, seen, depth + 1)
        items = node.get("items")
        if not isinstance(items, dict) or not items:
            return {"type": "STRING"}
        return self.node(items, seen, depth + 1)

    def _members(
        self, written: Node, node: Node, hints: list[str], seen: frozenset[str], depth: int
    ) -> None:
        properties = {
            name: self.node(value, seen, depth + 1)
            for name, value in node_of(node.get("properties")).items()
            if value is not False
        }
        rest = node.get("additionalProperties")
        if not properties and isinstance(rest, dict):
            kinds = "/".join(types_of(rest)) or "any"
            hints.append(f"A map from names to values of type {kinds}.")
        require(written, node, properties)


class _JsonForm:
    """Writes one schema; definitions that are reached are kept, those of a hard loop are cut."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._wanted: list[str] = []
        self._needs: dict[str, set[str]] = {}
        self._here = ""

    def whole(self) -> Node:
        written = self._node(self._root.schema, frozenset({"#"}), True, 0)
        kept: Node = {}
        while len(kept) < len(self._wanted):
            name = self._here = self._wanted[len(kept)]
            kept[name] = self._node(self._definition(name), frozenset(), True, 0)
        return {**written, "$defs": kept} if kept else written

    def _definition(self, name: str) -> object:
        found = node_of(self._root.schema.get("$defs")).get(name)
        if found is None:
            found = node_of(self._root.schema.get("definitions")).get(name)
        return found

    def _node(self, schema: object, seen: frozenset[str], is_needed: bool, depth: int) -> Node:
        """Write a node; ``is_needed`` says that no optional property leads to it."""
        if depth > _DEPTH or self._root.is_spent():
            return {"type": "object"}
        node = node_of(schema)
        ref = node.get("$ref")
        name = self._root.definition(ref) if isinstance(ref, str) else None
        if name is not None and "properties" not in node and "allOf" not in node:
            if not self._keep(name, is_needed):
                return described({"type": "object"}, node)
            link = {"$ref": f"#/$defs/{escaped(name)}"}
            # The server takes no description beside a reference.
            return described({"anyOf": [link]}, node) if words_of(node) else link
        node, seen, cut = self._root.flat(node, seen)
        if cut:
            node = merged(self._root.stub(cut), node)
        node, hints = spoken(node, numbers=True)
        return self._written(node, hints, seen, is_needed, depth)

    def _written(
        self, node: Node, hints: list[str], seen: frozenset[str], is_needed: bool, depth: int
    ) -> Node:
        unions = {name: list_of(node.get(name)) for name in ("anyOf", "oneOf") if node.get(name)}
        types = types_of(node)
        if not types and not unions and node.keys() - {"description", "title", "default"}:
            types = [guess(node)]
        if node.get("nullable") is True:
            if types:
                types = list(dict.fromkeys([*types, "null"]))
            else:
                unions["anyOf"] = [*unions.get("anyOf", []), {"type": "null"}]
        written: Node = {}
        if types:
            written["type"] = types if len(types) > 1 else types[0]
        for kind in types:
            for name, value in simple(node, kind, hints, _OF_TYPE[kind]):
                if name in _JSON_KEEPS or name == "format":
                    written[name] = value
                elif name != "default":
                    hints.append(f"{name}: {value}.")
        if isinstance(node.get("enum"), list) and node["enum"]:
            written["enum"] = node["enum"]
        for name, branches in unions.items():
            if branches:
                written[name] = [self._node(one, seen, is_needed, depth + 1) for one in branches]
        if "array" in types:
            self._items(written, node, seen, is_needed, depth)
        if "object" in types:
            self._members(written, node, seen, is_needed, depth)
        describe(written, node, hints)
        return written

    def _items(
        self, written: Node, node: Node, seen: frozenset[str], is_needed: bool, depth: int
    ) -> None:
        entries = list_of(node.get("prefixItems")) or list_of(node.get("items"))
        items = node.get("items")
        if entries:
            written["prefixItems"] = [
                self._node(one, seen, is_needed, depth + 1) for one in entries
            ]
        if isinstance(items, dict):
            written["items"] = self._node(items, seen, is_needed, depth + 1)
        elif not entries:
            written["items"] = {"type": "string"}

    def _members(
        self, written: Node, node: Node, seen: frozenset[str], is_needed: bool, depth: int
    ) -> None:
        required = names_of(node.get("required"))
        properties = {
            name: self._node(value, seen, is_needed and name in required, depth + 1)
            for name, value in node_of(node.get("properties")).items()
            if value is not False
        }
        rest = node.get("additionalProperties")
        if isinstance(rest, bool):
            written["additionalProperties"] = rest
        elif isinstance(rest, dict):
            written["additionalProperties"] = self._node(rest, seen, is_needed, depth + 1)
        require(written, node, properties)

    def _keep(self, name: str, is_needed: bool) -> bool:
        """Whether a reference may stay: a loop must pass through an optional property."""
        if is_needed:
            if self._reaches(name, self._here):
                return False
            self._needs.setdefault(self._here, set()).add(name)
        if name not in self._wanted:
            self._wanted.append(name)
        return True

    def _reaches(self, start: str, goal: str) -> bool:
        waiting, met = [start], {start}
        while waiting:
            name = waiting.pop()
            if name == goal:
                return bool(goal)
            fresh = self._needs.get(name, set()) - met
            met |= fresh
            waiting.extend(fresh)
        return False
