"""The output items of an answer, each read into the events of its parts.

An item tells the same thing up to three times: in pieces, in an event that ends them, and in the
item itself. Any of the three may be missing. What has been told is told once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import override

from app.ir.events import Cite, Delta, Event, Open, PartKind, Shut
from app.ir.parts import Citation, Media, MediaKind
from app.protocols.openai_responses.items import PARAGRAPH, openai_seal
from app.protocols.reading import count_of, mapping_of


class Output(ABC):
    """One item; its events wait here until it is their turn."""

    kinds: tuple[str, ...]

    def __init__(self) -> None:
        self.closed = False
        self.is_call = False
        self.is_refusal = False
        self._events: list[Event] = []

    def taken(self) -> list[Event]:
        """What has become known since the last time."""
        events, self._events = self._events, []
        return events

    def takes(self, kind: object) -> bool:
        """Whether an item of this type is this one."""
        return kind in self.kinds

    @abstractmethod
    def added(self, item: Mapping[str, Any]) -> None:
        """Learn from the item as it began."""

    @abstractmethod
    def learn(self, kind: str, event: Mapping[str, Any]) -> None:
        """Learn from an event between its beginning and its end."""

    @abstractmethod
    def done(self, item: Mapping[str, Any]) -> None:
        """Learn from the whole item, and end it."""

    @abstractmethod
    def close(self) -> None:
        """End it, as far as it has come."""


class _Message(Output):
    """Words, of which a message may have several stretches, and refusals."""

    kinds = ("message",)

    def __init__(self) -> None:
        super().__init__()
        self._place = -1
        self._kind: PartKind | None = None
        self._told: dict[int, list[str]] = {}
        self._cited: dict[int, int] = {}

    @override
    def added(self, item: Mapping[str, Any]) -> None:
        pass  # its content comes on its own

    @override
    def learn(self, kind: str, event: Mapping[str, Any]) -> None:
        place = count_of(event.get("content_index"))
        match kind:
            case "response.output_text.delta":
                self._more(place, PartKind.TEXT, event.get("delta"))
            case "response.output_text.done":
                self._rest(place, PartKind.TEXT, event.get("text"))
            case "response.refusal.delta":
                self._more(place, PartKind.REFUSAL, event.get("delta"))
            case "response.refusal.done":
                self._rest(place, PartKind.REFUSAL, event.get("refusal"))
            case "response.output_text.annotation.added":
                self._cite(place, event.get("annotation"))
            case "response.content_part.done":
                self._part(place, mapping_of(event.get("part")))
            case _:
                pass  # the rest tells nothing new

    @override
    def done(self, item: Mapping[str, Any]) -> None:
        content = item.get("content")
        for place, part in enumerate(content if isinstance(content, list) else ()):
            self._part(place, mapping_of(part))
        self.close()

    @override
    def close(self) -> None:
        self._shut()
        self.closed = True

    def _part(self, place: int, part: Mapping[str, Any]) -> None:
        match part.get("type"):
            case "output_text" | "text":
                self._rest(place, PartKind.TEXT, part.get("text"))
                notes = part.get("annotations")
                known = self._cited.get(place, 0)
                for note in (notes if isinstance(notes, list) else [])[known:]:
                    self._cite(place, note)
            case "refusal":
                self._rest(place, PartKind.REFUSAL, part.get("refusal"))
            case _:
                pass  # a part we do not know

    def _more(self, place: int, kind: PartKind, text: object) -> None:
        if not isinstance(text, str) or not text:
            return
        if self._place != place or self._kind is not kind:
            self._shut()
            self._events.append(Open(kind))
            self._place, self._kind = place, kind
            self.is_refusal = self.is_refusal or kind is PartKind.REFUSAL
        self._told.setdefault(place, []).append(text)
        self._events.append(Delta(text))

    def _rest(self, place: int, kind: PartKind, whole: object) -> None:
        self._more(place, kind, rest_of(whole, self._told.get(place, ())))

    def _cite(self, place: int, note: object) -> None:
        self._cited[place] = self._cited.get(place, 0) + 1
        members = mapping_of(note)
        url = members.get("url")
        is_open = self._kind is PartKind.TEXT and self._place == place
        if members.get("type") != "url_citation" or not isinstance(url, str) or not is_open:
            return
        title = members.get("title")
        citation = Citation(
            url=url,
            title=title if isinstance(title, str) else "",
            start=count_of(members.get("start_index")),
            end=count_of(members.get("end_index")),
        )
        self._events.append(Cite(citation))

    def _shut(self) -> None:
        if self._kind is not None:
            self._events.append(Shut())
        self._kind = None


class _Call(Output):
    """A call of one of the client's tools."""

    kinds = ("function_call", "custom_tool_call")

    def __init__(self) -> None:
        super().__init__()
        self._told: list[str] = []

    @override
    def added(self, item: Mapping[str, Any]) -> None:
        self._open(item, final=False)
        self._rest(item.get("arguments"))
        self._rest(item.get("input"))

    @override
    def learn(self, kind: str, event: Mapping[str, Any]) -> None:
        match kind:
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                self._more(event.get("delta"))
            case "response.function_call_arguments.done":
                self._rest(event.get("arguments"))
            case "response.custom_tool_call_input.done":
                self._rest(event.get("input"))
            case _:
                pass  # nothing of a call

    @override
    def done(self, item: Mapping[str, Any]) -> None:
        self._open(item, final=True)
        self._rest(item.get("arguments"))
        self._rest(item.get("input"))
        self.close()

    @override
    def close(self) -> None:
        if self.is_call:
            self._events.append(Shut())
        self.closed = True

    def _open(self, item: Mapping[str, Any], *, final: bool) -> None:
        """Begin the call once its id and its name are known, whichever event says them."""
        call_id = item.get("call_id") or (item.get("id") if final else None)
        name = item.get("name")
        if self.is_call or not isinstance(name, str) or not name or not isinstance(call_id, str):
            return
        namespace = item.get("namespace")
        self.is_call = True
        self._events.append(
            Open(
                PartKind.TOOL_CALL,
                call_id=call_id,
                name=name,
                namespace=namespace if isinstance(namespace, str) else "",
                custom=item.get("type") == "custom_tool_call",
            )
        )
        self._events += [Delta(text) for text in self._told]  # came before the name

    def _more(self, text: object) -> None:
        if not isinstance(text, str) or not text:
            return
        self._told.append(text)
        if self.is_call:
            self._events.append(Delta(text))

    def _rest(self, whole: object) -> None:
        self._more(rest_of(whole, self._told))


class _Reasoning(Output):
    """Thoughts: a summary in parts, or the words themselves, and their proof."""

    kinds = ("reasoning",)

    def __init__(self) -> None:
        super().__init__()
        self._source = ""
        self._place = -1
        self._told: dict[int, list[str]] = {}
        self._opened = False

    @override
    def added(self, item: Mapping[str, Any]) -> None:
        pass  # the proof is final only when the item is done

    @override
    def learn(self, kind: str, event: Mapping[str, Any]) -> None:
        match kind:
            case "response.reasoning_summary_text.delta":
                self._more("summary", count_of(event.get("summary_index")), event.get("delta"))
            case "response.reasoning_summary_text.done":
                self._rest("summary", count_of(event.get("summary_index")), event.get("text"))
            case "response.reasoning_text.delta":
                self._more("content", count_of(event.get("content_index")), event.get("delta"))
            case "response.reasoning_text.done":
                self._rest("content", count_of(event.get("content_index")), event.get("text"))
            case _:
                pass  # parts that begin and end

    @override
    def done(self, item: Mapping[str, Any]) -> None:
        for source in ("summary", "content"):
            parts = item.get(source)
            for place, part in enumerate(parts if isinstance(parts, list) else ()):
                self._rest(source, place, mapping_of(part).get("text"))
        proof = item.get("encrypted_content")
        if isinstance(proof, str) and proof:
            self._begin()
            self._events.append(Shut(openai_seal(proof, item.get("id"))))
            self.closed = True
        else:
            self.close()

    @override
    def close(self) -> None:
        if self._opened:
            self._events.append(Shut())
        self.closed = True

    def _begin(self) -> None:
        if not self._opened:
            self._opened = True
            self._events.append(Open(PartKind.THINKING))

    def _more(self, source: str, place: int, text: object) -> None:
        """More of the summary or of the words; of the two, the one that came first is told."""
        if not isinstance(text, str) or not text or (self._source or source) != source:
            return
        self._begin()
        self._source = source
        if self._told and place != self._place and source == "summary":
            self._events.append(Delta(PARAGRAPH))
        self._place = place
        self._told.setdefault(place, []).append(text)
        self._events.append(Delta(text))

    def _rest(self, source: str, place: int, whole: object) -> None:
        told = self._told.get(place, ()) if self._source == source else ()
        self._more(source, place, rest_of(whole, told))


class _Picture(Output):
    """A picture that the provider's own tool has made."""

    kinds = ("image_generation_call",)

    @override
    def added(self, item: Mapping[str, Any]) -> None:
        pass  # it comes whole

    @override
    def learn(self, kind: str, event: Mapping[str, Any]) -> None:
        pass  # previews

    @override
    def done(self, item: Mapping[str, Any]) -> None:
        data, form = item.get("result"), item.get("output_format")
        if isinstance(data, str) and data:
            subtype = form if isinstance(form, str) and form else "png"
            subtype = {"svg": "svg+xml", "jpg": "jpeg"}.get(subtype, subtype)
            media = Media(MediaKind.IMAGE, mime=f"image/{subtype}", data=data)
            self._events += [Open(PartKind.MEDIA, media=media), Shut()]
        self.close()

    @override
    def close(self) -> None:
        self.closed = True


_OUTPUTS: tuple[type[Output], ...] = (_Message, _Call, _Reasoning, _Picture)
# What an event without an item belongs to, should the item's beginning have been left out.
_EVENTS = (
    ("response.output_text.", _Message),
    ("response.refusal.", _Message),
    ("response.content_part.", _Message),
    ("response.function_call_arguments.", _Call),
    ("response.custom_tool_call_input.", _Call),
    ("response.reasoning_", _Reasoning),
)


def output_of(item_type: object, event: str) -> Output | None:
    """A reader for an item of this type, or for the item an event belongs to; None to skip it."""
    for kind in _OUTPUTS:
        if item_type in kind.kinds:
            return kind()
    for prefix, kind in _EVENTS:
        if item_type is None and event.startswith(prefix):
            return kind()
    return None


def rest_of(whole: object, pieces: Sequence[str]) -> str:
    """What of a whole text has not been told in pieces; nothing when the two do not agree."""
    if not isinstance(whole, str):
        return ""
    told = "".join(pieces)
    return whole[len(told) :] if whole.startswith(told) else ""
