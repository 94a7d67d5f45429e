"""Undoes what a failed operation has made. If that fails too, the user sees the first error; its hint tells what may be left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from novacron.errors import NovaCronError
from novacron_vmware.errors import translated


@contextmanager
def undone_on_failure(resource: str, what: str, undo: Callable[[], object]) -> Iterator[None]:
    """Call `undo` when the block fails, and raise the block's error.

    Args:
        resource: the VM's name, for errors.
        what: what is undone, for the hint: "the VM 'web1'".
        undo: undoes it.
    """
    try:
        with translated(resource):
            yield
    except BaseException as error:
        try:
            with translated(resource):
                undo()
        except Exception as failed:  # noqa: BLE001 - a defect, too, must not hide the first error
            why = failed if isinstance(failed, NovaCronError) else f"{type(failed).__name__}: {failed}"
            left = f"{what} may be left, because undoing failed: {why}"
            if isinstance(error, NovaCronError):
                error.hint = f"{error.hint}; {left}" if error.hint else left
            else:
                error.add_note(left)
        raise


__all__ = ["undone_on_failure"]
