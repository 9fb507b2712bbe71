"""The tables, as the code needs them; ``migrations`` makes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, Table, Text

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"}
)

usage_records = Table(
    "usage_records",
    metadata,
    Column("id", Text, primary_key=True),
    # Microseconds since 1970 UTC. It is what a Python datetime resolves to, so what is read is
    # what was written; SQLite has no type for time, and its text form would compare slower.
    Column("at_us", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("upstream_model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("credential_id", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("status", Integer, nullable=False),
    Column("blame", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("input_audio_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("output_audio_tokens", BigInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("ttft_ms", Double),
    Column("duration_ms", Double, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("answer_id", Text, nullable=False),
    Index(None, "at_us"),
    Index(None, "client_id", "at_us"),
    Index(None, "answer_id"),
)
"""One row for each exchange; the columns stand in the order of ``rows.COLUMNS``."""

reasoning_seals = Table(
    "reasoning_seals",
    metadata,
    # A digest of client id and call id: of one size, whatever a client makes up for an id.
    Column("key", Text, primary_key=True),
    Column("expires_at_us", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    Index(None, "expires_at_us"),
)
"""What belongs to tool calls, a day long; see ``seals``."""
