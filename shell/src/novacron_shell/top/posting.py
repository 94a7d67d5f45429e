"""Calls functions in the thread of a screen, from other threads, until the screen closes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class Post:
    """Calls functions in the thread of a screen. Calling it never blocks, and after the screen has closed it does nothing.

    `App.call_from_thread` of Textual waits for the result, and raises RuntimeError after the application has ended. Threads that read
    from hosts can do neither: they may outlive the screen.

    Example:
        >>> post = Post()
        >>> post(print, "nobody is there")
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._resources: list[Any] = []

    def open(self) -> None:
        """Begin; called in the thread of the screen."""
        with self._guard:
            self._loop = None if self._closed else asyncio.get_running_loop()

    def close(self) -> None:
        """Discard what is posted from now on, and close what was kept with `until_closed`."""
        with self._guard:
            self._loop, self._closed = None, True
            resources, self._resources = self._resources, []
        for resource in resources:
            resource.close()

    def until_closed(self, resource: Any) -> None:
        """Keep something that has a method `close`. It is closed with the screen, or now if the screen has closed already."""
        with self._guard:
            if not self._closed:
                self._resources.append(resource)
                return
        resource.close()

    def __call__(self, function: Callable[..., object], *arguments: Any, **options: Any) -> None:
        """Call a function soon in the thread of the screen. May be called in any thread."""
        with self._guard:
            loop = self._loop
            if loop is not None and not loop.is_closed():
                loop.call_soon_threadsafe(lambda: None if self._closed else function(*arguments, **options))


__all__ = ["Post"]
