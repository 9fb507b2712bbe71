"""Runs migrations on the connection that ``app.storage.sql.migrate`` hands over.

The transaction is the caller's: it holds the lock that keeps two starting processes apart.
"""

from __future__ import annotations

from alembic import context

from app.storage.sql.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
