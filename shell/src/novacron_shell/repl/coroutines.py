"""Runs coroutines of typed lines, on an event loop of the session. Tasks that a line started continue while the user types."""

from __future__ import annotations

import ast
import asyncio
import threading
from collections.abc import Coroutine
from types import CodeType
from typing import Any, TypeVar

from novacron.threads import in_thread, result_of
from novacron_shell.repl.interrupts import DetachedError

T = TypeVar("T")
GRACE = 20.0
"""Seconds that a cancelled coroutine has to end. A cancelled job rolls back in this time."""


class Coroutines:
    """The event loop of a session. It starts with the first coroutine.

    Example:
        >>> async def two():
        ...     return 2
        >>> coroutines = Coroutines()
        >>> coroutines.run(two())
        2
        >>> coroutines.close()
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result.

        Ctrl-C cancels it and waits until it has ended. If the user detaches, it continues in the background.

        Raises:
            BaseException: whatever the coroutine raises.
        """
        loop, running = self._started(), list[asyncio.Task[Any]]()
        interrupted, ended = threading.Event(), threading.Event()

        async def watched() -> T:
            if (task := asyncio.current_task()) is not None:
                running.append(task)
            try:
                if interrupted.is_set():
                    coroutine.close()
                    raise asyncio.CancelledError
                return await coroutine
            finally:
                ended.set()

        try:
            return result_of(asyncio.run_coroutine_threadsafe(watched(), loop))
        except DetachedError:
            raise
        except KeyboardInterrupt:
            interrupted.set()
            if running:  # otherwise it has not begun, and will not
                loop.call_soon_threadsafe(running[0].cancel)
                ended.wait(GRACE)
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is None:
            self._loop = loop = asyncio.new_event_loop()
            in_thread(loop.run_forever, "novacron-coroutines")
        return loop

    def close(self) -> None:
        """Cancel all tasks and stop the loop."""
        loop, self._loop = self._loop, None
        if loop is None:
            return

        async def cancel() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=1.0) if others else None

        try:
            asyncio.run_coroutine_threadsafe(cancel(), loop).result(2.0)
        except TimeoutError:
            pass  # a task blocks the loop; its thread ends with the process
        loop.call_soon_threadsafe(loop.stop)


def is_coroutine(code: CodeType) -> bool:
    """Whether running compiled code returns a coroutine, because it has an `await` outside of functions.

    Example:
        >>> is_coroutine(compiled("await x")), is_coroutine(compiled("x"))
        (True, False)
    """
    import inspect

    return bool(code.co_flags & inspect.CO_COROUTINE)


def compiled(text: str | bytes, file: str = "<stdin>", mode: str = "exec", flags: int = 0) -> CodeType:
    """Compile code that may have an `await` outside of functions.

    Raises:
        SyntaxError: it is no Python.
    """
    code: CodeType = compile(text, file, mode, flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def run_code(code: CodeType, names: dict[str, Any], coroutines: Coroutines) -> Any:
    """Run compiled code in a namespace and return its value; code with `await` runs on the session's event loop."""
    value = eval(code, names)  # noqa: S307 - the user's own code
    return coroutines.run(value) if is_coroutine(code) else value


__all__ = ["Coroutines", "compiled", "is_coroutine", "run_code"]
