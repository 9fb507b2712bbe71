"""Sources of an answer's text: ``groundingMetadata`` and ``citationMetadata``.

Source: ai.google.dev, "GroundingMetadata" and "CitationSource", read 2026-11-21: offsets count
bytes of UTF-8.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.ir.parts import Citation
from app.protocols.reading import count_of, mapping_of

_PLACES = ("web", "retrievedContext", "maps", "image")


def citations_of(text: str, grounding: object, recited: object) -> Iterator[Citation]:
    """The citations of a text, with offsets in characters."""
    data = text.encode(errors="surrogatepass")
    found = mapping_of(grounding)
    sources = [_source(chunk) for chunk in _list(found.get("groundingChunks"))]
    supports = [mapping_of(support) for support in _list(found.get("groundingSupports"))]
    if not supports:
        yield from (Citation(url, title) for url, title in sources if url)
    for support in supports:
        segment = mapping_of(support.get("segment"))
        start, end = _span(data, segment)
        for index in _list(support.get("groundingChunkIndices")):
            if isinstance(index, int) and 0 <= index < len(sources) and sources[index][0]:
                url, title = sources[index]
                yield Citation(url, title, start, end)
    marks = mapping_of(recited)
    for entry in _list(marks.get("citations") or marks.get("citationSources")):
        mark = mapping_of(entry)
        if isinstance(mark.get("uri"), str) and mark["uri"]:
            yield Citation(mark["uri"], _text(mark.get("title")), *_span(data, mark))


def write_citations(runs: Sequence[tuple[str, Sequence[Citation]]]) -> dict[str, Any] | None:
    """The ``groundingMetadata`` of an answer; None when nothing is cited.

    Args:
        runs: each text part with what it cites; its place is the part's number.
    """
    chunks: list[dict[str, Any]] = []
    supports: list[dict[str, Any]] = []
    for number, (text, citations) in enumerate(runs):
        for citation in citations:
            web = {"uri": citation.url, "title": citation.title or citation.url}
            chunk = {"web": web}
            if chunk not in chunks:
                chunks.append(chunk)
            segment: dict[str, Any] = {
                "startIndex": _bytes(text[: citation.start]),
                "endIndex": _bytes(text[: citation.end]),
                "text": text[citation.start : citation.end],
            }
            if number:
                segment["partIndex"] = number
            indices = [chunks.index(chunk)]
            supports.append({"segment": segment, "groundingChunkIndices": indices})
    return {"groundingChunks": chunks, "groundingSupports": supports} if chunks else None


def _source(chunk: object) -> tuple[str, str]:
    place = mapping_of(chunk)
    for name in _PLACES:
        found = mapping_of(place.get(name))
        if found:
            return _text(found.get("uri") or found.get("sourceUri")), _text(found.get("title"))
    return "", ""


def _span(data: bytes, segment: dict[str, Any]) -> tuple[int, int]:
    start, end = count_of(segment.get("startIndex")), count_of(segment.get("endIndex"))
    return _characters(data[:start]), _characters(data[: max(start, end)])


def _characters(data: bytes) -> int:
    return len(data.decode(errors="ignore"))


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
