"""Functions of plugins, such as forecasters, balancers, placement filters: they may raise anything and return anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from novacron.errors import PluginError

Result = TypeVar("Result")


def function_name(function: object) -> str:
    """Return the name of a plugin's function; of an object that can be called, the name of its class."""
    return str(getattr(function, "__name__", type(function).__name__))


def checked(
    what: str, function: Callable[..., Any], read: Callable[[Any], Result], *, passes: tuple[type[Exception], ...] = ()
) -> Callable[..., Result]:
    """Return a plugin's function whose failures are PluginErrors that name it.

    Args:
        what: what the function is, such as "forecaster".
        function: the function.
        read: makes the wanted type of what the function returned. If it fails, the function has failed.
        passes: exceptions that the function may raise; they stay as they are.

    Example:
        >>> checked("balancer", lambda group: group / 0, list)(1)
        Traceback (most recent call last):
        novacron.errors.PluginError: the balancer '<lambda>' failed: ZeroDivisionError: division by zero
    """

    def call(*arguments: Any) -> Result:
        try:
            return read(function(*arguments))
        except passes:
            raise
        except Exception as error:
            raise PluginError(f"the {what} {function_name(function)!r} failed: {type(error).__name__}: {error}") from error

    return call


__all__ = ["checked", "function_name"]
