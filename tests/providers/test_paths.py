from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import NotFound, UnknownModel
from app.providers.paths import model_path, object_segment, versioned


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://h", "https://h/v1"),
        ("https://h/", "https://h/v1"),
        ("https://h/v1", "https://h/v1"),
        ("https://h/v1/", "https://h/v1"),
        ("https://h/v4", "https://h/v4"),
        ("https://h/api/v1beta", "https://h/api/v1beta"),
        ("https://h/v1alpha2", "https://h/v1alpha2"),
        ("https://h/compatible-mode/v1", "https://h/compatible-mode/v1"),
        ("https://h/v1x", "https://h/v1x/v1"),
        ("https://h/vertex", "https://h/vertex/v1"),
        ("https://v1", "https://v1/v1"),
    ],
)
def test_a_base_url_gets_one_version_segment(base_url: str, url: str) -> None:
    assert versioned(base_url, "v1") == url


@pytest.mark.parametrize(
    ("object_id", "segment"),
    [
        ("resp_0a", "resp_0a"),
        ("a:b c", "a%3Ab%20c"),
        ("a?b#c%2F", "a%3Fb%23c%252F"),
        ("é", "%C3%A9"),
    ],
)
def test_an_object_id_is_one_segment(object_id: str, segment: str) -> None:
    assert object_segment(object_id) == segment


@pytest.mark.parametrize("object_id", ["", ".", "..", "a/b", "a\\b", "x" * 513])
def test_an_id_that_could_leave_its_place_is_refused(object_id: str) -> None:
    with pytest.raises(NotFound):
        object_segment(object_id)


@pytest.mark.parametrize("model", ["", "/", "a//b", "../x", "models/..", "a/./b", "a\\..\\b", "/a"])
def test_a_model_name_that_could_leave_its_place_is_refused(model: str) -> None:
    with pytest.raises(UnknownModel):
        model_path(model)


@given(st.text(max_size=40))
def test_a_model_name_stays_where_it_is_put(model: str) -> None:
    try:
        path = model_path(model)
    except UnknownModel:
        return
    parts = urlsplit(f"https://h/v1/{path}:call?q=1")
    assert (parts.netloc, parts.query, parts.fragment) == ("h", "q=1", "")
    assert unquote(parts.path) == f"/v1/{model.encode(errors='replace').decode()}:call"
    assert path.isascii()
    assert path.isprintable()
