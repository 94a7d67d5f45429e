"""The contract as text, one line per operation. `hookspecs.lock` is its stored copy, so its diff shows every change.

python -m novacron.hookspecs.lock >core/hookspecs.lock
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from novacron.hookspecs import API_VERSION
from novacron.hookspecs.areas import AREAS


def lines() -> Iterator[str]:
    """Yield the version, then each operation with its arguments, types and properties, ordered by area."""
    yield f"# NovaCron contract {API_VERSION}"
    for area in AREAS:
        for function in vars(area).values():
            operation = getattr(function, "operation", None)
            if operation is None or function.__module__ != area.__name__:
                continue
            kind = "read" if operation.reads else "job" if operation.long else "change"
            marks = [
                kind,
                *(
                    m
                    for m in ("mandatory", "idempotent")
                    if getattr(operation, m) and not (m == "idempotent" and operation.reads)
                ),
            ]
            if operation.locks:
                marks.append(f"locks {operation.locks}")
            if operation.statuses:
                marks.append(f"when {' or '.join(operation.statuses)}")
            yield f"{operation.area}: {operation.name}{inspect.signature(function)} [{', '.join(marks)}]".replace("'", "")


if __name__ == "__main__":
    print("\n".join(lines()))
