"""Create the table of what belongs to tool calls."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reasoning_seals",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("expires_at_us", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_reasoning_seals"),
    )
    op.create_index("ix_reasoning_seals_expires_at_us", "reasoning_seals", ["expires_at_us"])


def downgrade() -> None:
    op.drop_table("reasoning_seals")
