"""Programs of others are driven only when asked for: ``make test-clients``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

WANTED = "AIPROXY_TEST_CLIENTS"
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(WANTED) == "1":
        return
    mark = pytest.mark.skip(reason="drives real programs: make test-clients")
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(mark)
