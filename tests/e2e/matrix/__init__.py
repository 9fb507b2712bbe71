"""Conversations that belong to no protocol, said and heard in all four."""

import pytest

for _name in ("cases", "expecting", "reading", "hearing"):
    pytest.register_assert_rewrite(f"{__name__}.{_name}")
