"""The audit log: one JSON line per changing operation, with its actor, executor, resource, arguments and outcome."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from novacron.dispatch.call import Call
from novacron.errors import NovaCronError
from novacron.hookspecs.operation import Operation
from novacron.identity import Identity
from novacron.redaction import redacted
from novacron.state import StateDirectory, open_private

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

FILE = "audit.jsonl"
FILE_BYTES, FILES = 64 * 2**20, 10
"""How large the audit log may become until it is renamed to `audit.jsonl.1`, and how many such files are kept."""
READS_ON_RECORD = frozenset(
    {"console_open", "console_screenshot", "guest_file_read", "guest_info", "volume_download", "vm_export"}
)
"""Read operations that return the content of a guest or disk. They are audited too."""


class AuditLog:
    """Appends lines to `audit.jsonl` in the state directory, or to another file.

    If a line can't be written, the operation does not fail; `lost` counts such lines. Secrets are redacted. Symbolic links are not
    followed.

    Args:
        state: the state directory.
        file: another file than `audit.jsonl` in it.
        file_bytes: rotate the file when it is larger than that: `audit.jsonl` becomes `audit.jsonl.1`, that becomes `audit.jsonl.2`.
        files: how many rotated files to keep; the oldest is deleted.
    """

    def __init__(
        self, state: StateDirectory | None = None, file: Path | None = None, *, file_bytes: int = FILE_BYTES, files: int = FILES
    ) -> None:
        self._state, self._file = state or StateDirectory(), file
        self._file_bytes, self._files = file_bytes, files
        self.lost = 0

    def __repr__(self) -> str:
        return f"<AuditLog, {self.lost} lines lost>"

    @property
    def state(self) -> StateDirectory:
        """The state directory of the site that this log belongs to."""
        return self._state

    def write(
        self,
        operation: str,
        identity: Identity,
        *,
        host: str | None = None,
        resource: str | None = None,
        arguments: dict[str, Any] | None = None,
        error: BaseException | None = None,
        seconds: float = 0.0,
    ) -> None:
        """Append a line.

        Args:
            operation: name of the operation.
            identity: its actor and executor.
            host: name of the host; None for changes of the fleet.
            resource: the VM, pool or other resource of the operation.
            arguments: its arguments; they are redacted.
            error: the error, None if it succeeded.
            seconds: its duration in seconds.
        """
        line = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "actor": identity.actor,
            "executor": identity.executor or identity.actor,
            "operation": operation,
            "host": host,
            "resource": resource,
            "arguments": redacted(on_record(operation, arguments or {})),
            "outcome": "done" if error is None else getattr(error, "outcome", "failed"),
            "error": None if error is None else redacted(f"{type(error).__name__}: {error}"),
            "seconds": round(seconds, 6),
        }
        try:
            file = self._file or self._state.create() / FILE
            descriptor = open_private(file, os.O_WRONLY | os.O_APPEND)
            try:
                os.write(descriptor, json.dumps(line, default=str).encode() + b"\n")
                if os.fstat(descriptor).st_size > self._file_bytes:
                    rotate(file, descriptor, self._files)
            finally:
                os.close(descriptor)
        except (OSError, NovaCronError):
            self.lost += 1

    @contextmanager
    def recording(self, operation: str, identity: Identity, resource: str | None, /, **arguments: Any) -> Iterator[None]:
        """Append a line when the block ends, whether it succeeds or fails."""
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            self.write(operation, identity, resource=resource, arguments=arguments, error=error)


def rotate(file: Path, descriptor: int, files: int) -> bool:
    """Rename a log to `NAME.1`, `NAME.1` to `NAME.2` and so on, and delete the oldest. Return whether this call did it.

    Processes that have the file open still write to the renamed file, so no line is lost. One process at a time rotates.

    Args:
        file: the log.
        descriptor: the open log.
        files: how many rotated files to keep.
    """
    if fcntl is None:
        return False  # Windows can't rename a file that is open
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.stat(file), os.fstat(descriptor)):
            return False  # another process has rotated it
    except (BlockingIOError, FileNotFoundError):
        return False  # another process rotates it now
    names = [file, *(file.with_name(f"{file.name}.{number}") for number in range(1, files + 1))]
    for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
        if newer.exists():
            newer.replace(older)
    return True


class RecordedConsole:
    """A console that reports what is typed into it, without the content: a password may be typed there.

    Args:
        console: the driver's console.
        record: called with the number of bytes written so far, and the error of a write that failed.
    """

    def __init__(self, console: Any, record: Callable[[int, BaseException | None], None]) -> None:
        self._console, self._record = console, record
        self._written = 0

    def __repr__(self) -> str:
        return f"<RecordedConsole, {self._written} bytes written>"

    def __getattr__(self, name: str) -> Any:
        """Return what a driver's console has beyond `read`, `write` and `close`."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._console, name)

    def read(self, timeout: float) -> bytes:
        """Return the next output, as the driver's console does."""
        return bytes(self._console.read(timeout))

    def write(self, data: bytes) -> None:
        """Send input. The first one is recorded at once, because the process may end without closing the console."""
        first = not self._written
        try:
            self._console.write(data)
        except BaseException as error:
            self._record(self._written, error)
            raise
        self._written += len(data)
        if first and data:
            self._record(self._written, None)

    def close(self) -> None:
        """Close it, and record how much was written."""
        written, self._written = self._written, 0
        try:
            self._console.close()
        finally:
            if written:
                self._record(written, None)


class AuditPolicy:
    """Writes a line for each operation that changes something, and for reads of the content of guests and disks."""

    stage = "audit"

    def __init__(self, log: AuditLog) -> None:
        self.log = log

    def applies(self, operation: Operation) -> bool:
        """Return whether an operation is audited."""
        return not operation.reads or operation.name in READS_ON_RECORD

    def __call__(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """Run the operation and write its outcome."""
        began = time.monotonic()
        try:
            result = proceed(call)
        except BaseException as error:
            self._write(call, error, began)
            raise
        self._write(call, None, began)
        return self._recorded(call, result) if call.operation.name == "console_open" else result

    def _recorded(self, call: Call, console: Any) -> RecordedConsole:
        """Return a console whose input is on record: a line when it begins, and one with the number of bytes when it is closed."""

        def write(size: int, error: BaseException | None) -> None:
            arguments = {**call.arguments, "bytes": size}
            self.log.write(
                "console_write", call.identity, host=call.host, resource=call.resource, arguments=arguments, error=error
            )

        return RecordedConsole(console, write)

    def _write(self, call: Call, error: BaseException | None, began: float) -> None:
        self.log.write(
            call.operation.name,
            call.identity,
            host=call.host,
            resource=call.resource,
            arguments=call.arguments,
            error=error,
            seconds=time.monotonic() - began,
        )


def on_record(operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as they are recorded.

    A program in a guest is recorded with its name and the number of its arguments, typed text with the number of its keys.
    """
    if operation == "console_send_keys" and "keys" in arguments:
        keys = arguments["keys"]
        return {**arguments, "keys": f"<{len(keys) if isinstance(keys, (list, tuple)) else 1} keys>"}
    argv = arguments.get("argv")
    if operation == "guest_exec" and isinstance(argv, (list, tuple)) and argv:
        return {**arguments, "argv": [str(argv[0]), f"<{len(argv) - 1} arguments>"]}
    return arguments


__all__ = ["AuditLog", "AuditPolicy", "RecordedConsole", "on_record", "rotate"]
