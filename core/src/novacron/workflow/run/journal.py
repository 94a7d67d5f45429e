"""What happened in a run, entry by entry: the one truth, from which a run is shown, and walked again after its process ended."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from novacron import errors
from novacron.conversion import convert
from novacron.errors import NovaCronError, WorkflowError
from novacron.workflow.paths import ROOT, Path

Event = Literal["started", "done", "failed", "skipped", "decided", "unwinding", "undoing", "undone", "undo_failed", "resumed"]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened in a run.

    `at` is in seconds since 1970, `path` leads to the step within the flow, `data` has plain values. `executor` is the user of the
    process that wrote the entry, "" if the journal is of one process only.
    """

    number: int
    at: float
    path: Path
    event: Event
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    executor: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        result: dict[str, Any] = msgspec.to_builtins(self, enc_hook=str)
        return result

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Entry:
        """Return an entry from what `as_dict` returned."""
        return convert(stored, cls, dec_hook=lambda kind, value: kind(value))


class JournalLostError(BaseException):
    """An entry could not be put on record, or no longer by this process: the walk stops here, and nothing is undone.

    Not an Exception: code that continues after any failure must not continue after this one.
    """

    def __init__(self, reason: NovaCronError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Journal:
    """Entries in order. `append` returns when an entry is on record.

    This journal lives as long as the process. Subclasses store each entry in `keep`.
    """

    executor = ""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: list[Entry] = []
        self._by_path: dict[Path, list[Entry]] = defaultdict(list)
        self._within: dict[Path, list[Entry]] = defaultdict(list)
        for entry in entries:
            self._add(entry)
        self._guard = threading.Lock()

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._by_path[entry.path].append(entry)
        for path in entry.path.around():
            self._within[path].append(entry)

    def append(self, path: Path, event: Event, **data: Any) -> Entry:
        """Add an entry. Raises JournalLostError."""
        with self._guard:
            entry = Entry(number=len(self._entries), at=time.time(), path=path, event=event, data=data, executor=self.executor)
            self.keep(entry)
            self._add(entry)
            return entry

    def keep(self, entry: Entry) -> None:
        """Put an entry on record, for good."""

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first."""
        with self._guard:
            return list(self._entries)

    def within(self, path: Path) -> list[Entry]:
        """Return the entries at and below a path, oldest first. It costs as much as there are, not as the journal has."""
        with self._guard:
            return list(self._within.get(path, ()) if path else self._entries)

    def of(self, *paths: Path) -> list[Entry]:
        """Return the entries of some paths, oldest first."""
        with self._guard:
            found = [entry for path in paths for entry in self._by_path.get(path, ())]
        return found if len(paths) == 1 else sorted(found, key=lambda entry: entry.number)


def last(journal: Journal, path: Path, *events: Event) -> Entry | None:
    """Return the latest entry of a path among `events`; what failed or was undone before the run was resumed doesn't count."""
    found, over = None, False
    for entry in journal.of(path, ROOT) if path else journal.of(ROOT):
        if entry.event == "resumed":
            found = None if over else found
        elif entry.path == path:
            over = entry.event in ("failed", "undone", "unwinding") or path.undoes_within(ROOT)
            found = entry if entry.event in events else found
    return found


def unclear(journal: Journal, path: Path) -> Entry | None:
    """Return the start entry of a step if its outcome is unknown; None otherwise."""
    began = ended = None
    for entry in journal.of(path):
        if entry.event == "started":
            began, ended = entry, None
        elif entry.event in ("done", "failed"):
            ended = entry
    return began if ended is not None and ended.event == "failed" and ended.data.get("outcome") == "unknown" else None


def finished(journal: Journal, prefix: Path) -> list[Entry]:
    """Return the "done" entries at and below a path that are still to be undone, in the order in which they were done."""
    open_: dict[Path, Entry] = {}
    stuck: dict[Path, Entry] = {}
    resumed = [entry for entry in journal.of(ROOT) if entry.event == "resumed"] if prefix else []
    for entry in sorted([*journal.within(prefix), *resumed], key=lambda entry: entry.number):
        if entry.event == "resumed":
            open_, stuck = dict(sorted({**stuck, **open_}.items(), key=lambda item: item[1].number)), {}
        if entry.path.undoes_within(prefix):
            continue
        if entry.event == "done":
            for inner in {each.path for each in journal.within(entry.path)}:
                open_.pop(inner, None)  # what has an undo of its own covers its steps
            open_[entry.path] = entry
        elif entry.event == "undone":
            open_.pop(entry.path, None)
        elif entry.event == "undo_failed" and entry.path in open_:
            stuck[entry.path] = open_.pop(entry.path)  # not tried again, but when the run is resumed
    return list(open_.values())


def stored(error: NovaCronError) -> dict[str, Any]:
    """Return an error for an entry: as plain values, with its full `text`."""
    return error.as_dict() | {"text": str(error)}


def rebuilt(data: dict[str, Any]) -> NovaCronError:
    """Return the error that an entry tells of."""
    cls = getattr(errors, str(data.get("error")), WorkflowError)
    context = {k: data.get(k) for k in ("operation", "host", "resource", "hint")}
    error: NovaCronError = cls(str(data.get("text")), outcome=data.get("outcome") or "failed", **context)
    return error


__all__ = ["Entry", "Event", "Journal", "JournalLostError", "finished", "last", "rebuilt", "stored", "unclear"]
