"""Where the state database is. This module does not import SQLAlchemy, so that asking for the place costs nothing."""

from __future__ import annotations

import os

from novacron.state import StateDirectory

FILE = "state.db"
"""The SQLite file in the state directory."""


def database_url(url: str | None, state: StateDirectory) -> str:
    """Return the URL of the state database: the given one, `$NOVACRON_DATABASE`, or SQLite in the state directory.

    It may contain a password, so never show it.
    """
    given = url or os.environ.get("NOVACRON_DATABASE")
    if given:
        return given.replace("postgresql://", "postgresql+psycopg://", 1).replace("postgres://", "postgresql+psycopg://", 1)
    return f"sqlite:///{state / FILE}"


__all__ = ["FILE", "database_url"]
