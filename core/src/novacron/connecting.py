"""Opens a connection to a host by URI, within a deadline."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
    problems = []
    for name in options:
        if name not in provider.options:
            near = difflib.get_close_matches(name, [*OPTIONS, *provider.options], n=1)
            allowed = f"did you mean {near[0]!r}?" if near else f"one of {', '.join([*OPTIONS, *provider.options])}"
            problems.append(SpecProblem(name, "an unknown option", allowed))
    if problems:
        raise InvalidSpecError("invalid options of connect", problems=problems, outcome="not_sent")


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


__all__ = ["OPTIONS", "check_options", "embedded_uri", "open_driver", "parsed"]
