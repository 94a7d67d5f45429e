"""Opens a connection to a host by URI, within a deadline."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from novacron.errors import HostConnectionError, InvalidSpecError, NovaCronError, OperationTimeoutError, SpecProblem
from novacron.plugins.driver import ConnectContext, Driver, DriverProvider, HostURI
from novacron.redaction import redacted
from novacron.threads import within

OPTIONS = ("name", "timeout", "policies")
"""The options of `connect` that hold for every driver."""


def parsed(uri: Any, timeout: Any) -> HostURI:
    """Return the parts of a URI.

    Raises:
        InvalidSpecError: not a URI, or the timeout is not a number of seconds above 0.
    """
    if not isinstance(uri, str):
        problem = SpecProblem("uri", type(uri).__name__, "text such as qemu:///system")
        raise InvalidSpecError("invalid URI", problems=[problem])
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise InvalidSpecError("invalid timeout", problems=[SpecProblem("timeout", str(timeout), "seconds above 0")])
    return HostURI.parse(uri)


def check_options(provider: DriverProvider, options: Mapping[str, Any]) -> None:
    """Refuse options that the driver does not declare. Raises InvalidSpecError."""
    if provider.options is None:
        return
    known = [*OPTIONS, *provider.options]
    if problems := [
        SpecProblem(name, "an unknown option", _allowed(name, known)) for name in options if name not in provider.options
    ]:
        raise InvalidSpecError("invalid options of connect", problems=problems, operation="connect", outcome="not_sent")


def check_parameters(provider: DriverProvider, uri: HostURI) -> None:
    """Refuse a URI whose query has a parameter that the driver does not declare, or one twice.

    A driver, or the library below it, would ignore it: a typing error in `no_verify` or `timeout` would change the connection unnoticed.

    Raises:
        InvalidSpecError: names each parameter.
    """
    if provider.parameters is None:
        return
    problems = [
        SpecProblem(f"uri.{name}", "an unknown parameter", _allowed(name, provider.parameters))
        for name in uri.query
        if name not in provider.parameters
    ]
    times = Counter(name.lower() for name, _ in parse_qsl(urlsplit(uri.text).query, keep_blank_values=True))
    problems += [SpecProblem(f"uri.{name}", f"{count} values", "one value") for name, count in times.items() if count > 1]
    if problems:
        raise InvalidSpecError("invalid URI", problems=problems, operation="connect", outcome="not_sent")


def _allowed(name: str, known: Sequence[str]) -> str:
    """Return what an error says beside an unknown name: the nearest one, and all."""
    near = difflib.get_close_matches(name, known, n=1)
    listed = f"one of {', '.join(known)}" if known else "none"
    return f"{listed}: did you mean {near[0]!r}?" if near else listed


def open_driver(provider: DriverProvider, uri: HostURI, context: ConnectContext) -> Driver:
    """Connect with a provider. An SDK's own connect may block without end, so it runs in a thread.

    Raises:
        OperationTimeoutError: it took more than `context.timeout` seconds. A connection that is made later is closed.
        HostConnectionError, AuthenticationError
    """
    try:
        return within(
            context.timeout, lambda: provider.connect(uri, context), f"novacron-connect-{context.name}", lambda late: late.close()
        )
    except TimeoutError:
        raise OperationTimeoutError(
            f"connecting to {uri} took more than {context.timeout:g} s",
            operation="connect",
            host=context.name,
            outcome="not_sent",
            hint="check that the host is up, or give a longer timeout",
        ) from None
    except NovaCronError as error:
        error.operation, error.host = error.operation or "connect", error.host or context.name
        raise
    except Exception as error:
        raise HostConnectionError(
            f"can't connect to {uri}: {redacted(str(error))}", operation="connect", host=context.name, outcome="not_sent"
        ) from error


def embedded_uri(state: Path) -> str:
    """Return the URI of libvirt's embedded QEMU driver, for machines without a libvirt daemon."""
    return f"qemu:///embed?root={state / 'embed'}"


__all__ = ["OPTIONS", "check_options", "check_parameters", "embedded_uri", "open_driver", "parsed"]
