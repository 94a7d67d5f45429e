"""Connects to a host by URI, within a deadline."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from novacron.dispatch.dispatcher import Dispatcher
from novacron.dispatch.fields import FieldPolicy
from novacron.errors import HostConnectionError, InvalidSpecError, NovaCronError, OperationTimeoutError, SpecProblem
from novacron.handles.host import HostHandle
from novacron.plugins.discovery import provider_for
from novacron.plugins.driver import ConnectContext, Driver, DriverProvider, HostURI


def connect(
    uri: str | None = None,
    *,
    name: str | None = None,
    timeout: float = 30.0,
    policies: list[Any] | None = None,
    **options: Any,
) -> HostHandle:
    """Connect to a host.

    Args:
        uri: where it is, `qemu:///system`, `qemu+ssh://root@kvm1/system`, `vsphere://user@vc`, `sim://lab`. None takes the local
            libvirt daemon, or without one libvirt's embedded QEMU driver.
        name: what to call it in records and errors; the URI's host, or "local", when None.
        timeout: seconds that connecting may take.
        policies: further policies around every operation.
        options: further options of the driver's own.

    Raises:
        InvalidSpecError: not a URI.
        UnsupportedOperationError: no driver for its scheme; the hint names the pip command for known others.
        HostConnectionError, AuthenticationError, OperationTimeoutError

    Example:
        >>> connect("sim://lab").info().driver
        'sim'
    """
    if uri is None:
        return _local(name, timeout, policies or [], options)
    if not isinstance(uri, str):
        raise InvalidSpecError("invalid URI", problems=[SpecProblem("uri", repr(uri), "text such as qemu:///system")])
    if not timeout > 0:
        raise InvalidSpecError("invalid timeout", problems=[SpecProblem("timeout", str(timeout), "seconds above 0")])
    parsed = HostURI.parse(uri)
    provider = provider_for(parsed.scheme)
    host_name = name or parsed.host or "local"
    driver = _within(timeout, host_name, uri, lambda: provider.connect(parsed, ConnectContext(host_name, timeout, options)))
    try:
        return HostHandle(
            Dispatcher(host_name, provider.name, driver, [*_field_policies(provider), *_plugin_policies(), *(policies or [])]),
            uri=uri,
        )
    except NovaCronError:
        driver.close()
        raise


def _local(name: str | None, timeout: float, policies: list[Any], options: dict[str, Any]) -> HostHandle:
    try:
        return connect("qemu:///system", name=name, timeout=timeout, policies=policies, **options)
    except HostConnectionError:
        from novacron.state import state_directory

        root = state_directory(create=True) / "embed"
        return connect(f"qemu:///embed?root={root}", name=name, timeout=timeout, policies=policies, **options)


def _within(timeout: float, host: str, uri: str, work: Any) -> Driver:
    """Run `work` in a thread, for at most `timeout` seconds: an SDK's own connect may block without end."""
    future: Future[Driver] = Future()
    abandoned = threading.Event()

    def run() -> None:
        try:
            driver = work()
        except BaseException as error:  # noqa: BLE001 - carried to the caller
            future.set_exception(error)
            return
        future.set_result(driver)
        if abandoned.is_set():
            driver.close()

    threading.Thread(target=run, name=f"novacron-connect-{host}", daemon=True).start()
    try:
        return future.result(timeout)
    except TimeoutError:
        abandoned.set()
        raise OperationTimeoutError(
            f"connecting to {uri} took more than {timeout:g} s", operation="connect", host=host, outcome="not_sent",
            hint="check that the host is up, or give a longer timeout",
        ) from None  # fmt: skip
    except NovaCronError as error:
        error.operation, error.host = error.operation or "connect", error.host or host
        raise
    except Exception as error:
        raise HostConnectionError(
            f"can't connect to {uri}: {error}", operation="connect", host=host, outcome="not_sent"
        ) from error


def _field_policies(provider: DriverProvider) -> list[Any]:
    return [FieldPolicy(provider.name, provider.fields())] if provider.fields is not None else []


def _plugin_policies() -> list[Any]:
    from novacron.plugins.application import application_plugins

    return [policy for given in application_plugins().hook.register_policies() for policy in given]


__all__ = ["connect"]
