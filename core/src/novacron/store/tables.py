"""The tables of the state database."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

hosts = sa.Table(
    "hosts",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("uri", sa.Text, nullable=False),
    sa.Column("added_at", sa.String(32), nullable=False),
)

__all__ = ["hosts", "metadata"]
