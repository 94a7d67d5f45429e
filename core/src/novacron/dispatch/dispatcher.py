"""The entry point for operations: checks that the driver implements it, runs the policies, calls the hook, checks the result."""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from types import SimpleNamespace
from typing import Any

import pluggy

from novacron.dispatch.arguments import check_arguments
from novacron.dispatch.audit import AuditLog, AuditPolicy
from novacron.dispatch.call import Call, deadline, resource_of
from novacron.dispatch.cancelling import follow_cancelled, hosts_of
from novacron.dispatch.locks import LockPolicy
from novacron.dispatch.naming import NamePolicy
from novacron.dispatch.results import ResultCheck
from novacron.dispatch.retry import RetryPolicy
from novacron.errors import (
    DriverError,
    InvalidSpecError,
    NovaCronError,
    OperationCancelledError,
    OperationTimeoutError,
    PluginError,
    SpecProblem,
    UnsupportedOperationError,
)
from novacron.hookspecs.areas import AREAS
from novacron.hookspecs.operation import PROJECT, Operation
from novacron.identity import Identity
from novacron.jobs import Job
from novacron.plugins.driver import Driver
from novacron.plugins.native import native_table
from novacron.plugins.validation import check_area, check_driver, implementations, operations
from novacron.threads import in_thread

STAGES = ("telemetry", "audit", "naming", "access", "cache", "lock", "claim", "retry")
"""The order of policies, from outside in. Audit is outside access, so that a refusal is on record. Capacity is claimed within the lock."""

GRACE = 20.0
"""Seconds that a job has to roll back after its deadline. Then its outcome is reported as unknown."""

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

Policy = Callable[[Call, Callable[[Call], Any]], Any]


class _OperationManager(pluggy.PluginManager):
    """Inspects operations only. pluggy would inspect every attribute of registered objects, which takes 20 ms per connection."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return super().parse_hookimpl_opts(plugin, name) if name in operations() else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return super().parse_hookspec_opts(module_or_class, name) if name in operations() else None


def _contract() -> Any:
    """Return all operations as one namespace of hookspecs."""
    return SimpleNamespace(**{name: getattr(area, name) for area in AREAS for name in vars(area) if name in operations()})


class Dispatcher:
    """Runs the operations of one host.

    Args:
        host: the host's name.
        driver_name: the driver's name, for errors.
        driver: its area objects are validated and registered here.
        policies: additional policies, ordered by their `stage`; the built-in ones are audit, naming, lock and retry.
        identity: the actor; None for the user of the process.
        audit: the audit log; None for the one in the state directory that the environment names.
        locks: the locks that all connections of a site share.
        checked: driver classes that were validated before; new ones are added.
    """

    def __init__(
        self,
        host: str,
        driver_name: str,
        driver: Driver,
        policies: Sequence[Any] = (),
        *,
        identity: Identity | None = None,
        audit: AuditLog | None = None,
        locks: LockPolicy | None = None,
        checked: set[tuple[type, ...]] | None = None,
    ) -> None:
        check_driver(driver_name, driver.made, checked, later=driver.areas)
        self.identity = identity or Identity.of_process()
        self.host, self.driver_name, self.driver = host, driver_name, driver
        self._manager = _OperationManager(PROJECT)
        self._manager.add_hookspecs(_contract())
        self._offered: set[str] = set()
        self._later, self._checked, self._loading = set(driver.areas), checked, threading.Lock()
        for part in driver.made:
            self._register(part)
        self.native = native_table(driver_name, driver.made)
        self.audit = audit or AuditLog()
        self._locks = locks or LockPolicy()
        everything: list[Any] = [AuditPolicy(self.audit), NamePolicy(), self._locks, RetryPolicy(), *policies]
        self._policies = sorted(everything, key=lambda p: STAGES.index(getattr(p, "stage", "access")))
        self._chains: dict[str, Callable[[Call], Any]] = {}

    def acting_for(self, actor: str) -> Dispatcher:
        """Return a dispatcher on the same connection for another actor."""
        other = copy.copy(self)
        other.identity = self.identity.acting_for(actor)
        return other

    def supports(self, operation: str) -> bool:
        """Return whether the driver implements an operation of the contract, or has a native one ("vsphere.folder_list").

        Raises:
            UnsupportedOperationError: the contract has no such operation.
        """
        if "." in operation:
            return operation in self.native
        if operation not in operations():
            raise self._unknown(operation)
        return self._offers(operation)

    @property
    def operations(self) -> frozenset[str]:
        """The names of the operations that the driver implements. All its areas are loaded."""
        for area in tuple(self._later):
            self._load(area)
        return frozenset(self._offered)

    def watch(self, plugin: object) -> None:
        """Register a plugin's wrappers around operations.

        Raises:
            PluginError: the plugin implements an operation instead of wrapping it.
        """
        for name, method in implementations(plugin):
            options = getattr(method, f"{PROJECT}_impl")
            if not (options.get("wrapper") or options.get("hookwrapper")):
                raise PluginError(f"{type(plugin).__name__}.{name} implements the operation; only the host's driver may, wrap it")
        self._manager.register(plugin)

    def invoke(self, operation: str, timeout: float | None = None, **arguments: Any) -> Any:
        """Run an operation and return its result.

        Args:
            operation: name of its hook.
            timeout: longest time to wait, in seconds; None for the operation's default.
            arguments: all arguments of the hook except `job`.

        Raises:
            UnsupportedOperationError: the driver does not implement it.
            OperationTimeoutError: it did not end in time. Its outcome is unknown, unless it is a job that was rolled back.
            NovaCronError: as documented for the operation.
        """
        spec, limit = self._accepted(operation, timeout, arguments)
        if spec.reads:
            return self._run(Call(spec, self.host, arguments, time.monotonic() + limit, identity=self.identity))
        job, begin = self._prepared(spec, limit, arguments)
        try:
            begin()
            return job.result(limit + GRACE if spec.long else limit)
        except TimeoutError:
            if job.done():
                raise
            job.cancel()
            raise OperationTimeoutError(
                f"{operation} did not end within {limit:g} s",
                operation=operation,
                host=self.host,
                resource=job.resource,
                outcome="unknown",
                hint="it may still take effect; check the state before you repeat it",
            ) from None
        except KeyboardInterrupt as interrupt:
            job.cancel()
            interrupt.add_note(_after_cancel(job))
            raise

    def submit(self, operation: str, timeout: float | None = None, **arguments: Any) -> Job[Any]:
        """Start an operation in a separate thread and return its job."""
        job, begin = self._prepared(*self._accepted(operation, timeout, arguments), arguments)
        begin()
        return job

    def locked(self, vm: str, timeout: float) -> AbstractContextManager[None]:
        """Hold the lock of a VM during a block; see `VMHandle.locked`.

        Args:
            vm: the VM's id.
            timeout: longest time to wait for the lock, in seconds.

        Raises:
            BusyError: another operation held the lock for all of that time.
        """
        operation = operations()["vm_update"]._replace(name="vm.locked()")
        call = Call(operation, self.host, {"vm": vm}, time.monotonic() + timeout, identity=self.identity)
        return self._locks.hold(call)

    def _accepted(self, operation: str, timeout: Any, arguments: dict[str, Any]) -> tuple[Operation, float]:
        """Return an operation and its time limit if the call is allowed. Rejected calls are recorded."""
        try:
            spec = self._spec(operation)
            for name, value in spec.defaults.items():
                arguments.setdefault(name, value)
            if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
                problem = SpecProblem("timeout", type(timeout).__name__, "a number of seconds")
                raise InvalidSpecError(f"invalid arguments of {operation}", problems=[problem], outcome="not_sent")
            check_arguments(spec, arguments)
        except NovaCronError as error:
            error.operation, error.host = error.operation or str(operation), error.host or self.host
            error.resource = error.resource or resource_of(arguments)
            known = operations().get(operation) or self.native.get(operation, (None,))[0]
            if known is None or not known.reads:
                self.audit.write(
                    str(operation), self.identity, host=self.host, resource=error.resource, arguments=arguments, error=error
                )
            raise
        return spec, spec.timeout if timeout is None else timeout

    def _prepared(self, spec: Operation, limit: float, arguments: dict[str, Any]) -> tuple[Job[Any], Callable[[], object]]:
        """Return the job of an operation, and what begins it. A Ctrl-C while it begins can cancel the job then."""
        operation = spec.name
        job: Job[Any] = Job(operation, None, deadline=limit)
        call = Call(spec, self.host, arguments, time.monotonic() + limit, job, self.identity)
        job.resource, job.identity = call.resource, self.identity
        job.set_running_or_notify_cancel()

        def work() -> Any:
            deadline.set(call.deadline)
            if spec.locks not in (None, "spec"):
                self._identify(call, spec.locks)
            return self._run(call)

        hosts = hosts_of(self.host, self.driver, arguments)
        job.on_cancel(lambda: in_thread(lambda: follow_cancelled(job, hosts), f"novacron-cancel-{operation}"))
        return job, lambda: in_thread(work, f"novacron-{operation}", job)

    def _identify(self, call: Call, kind: str) -> None:
        """Find the id of a VM, network, filter or template given by name, so that all its names use the same lock.

        What has no id that is a UUID is locked by its kind and name, on all hosts.
        """
        if kind == "vm" and _ID.fullmatch(str(call.locked)):
            return
        if f"{kind}_get" not in operations():  # of a native operation
            call.locked = f"{kind} {call.locked}"
            return
        try:
            get = operations()[f"{kind}_get"]
            self._load(get.area)
            arguments = dict.fromkeys(get.arguments) | {kind: call.locked}
            with self.driver.during():
                found = getattr(self._manager.hook, get.name)(**arguments)
            identity = getattr(found, "id", None)
            call.locked = identity if kind == "vm" or _ID.fullmatch(str(identity)) else f"{kind} {found.name}"
        except Exception:  # noqa: BLE001, S110 - the operation itself meets it again, and says it
            pass

    def _run(self, call: Call) -> Any:
        name = call.operation.name
        chain = self._chains.get(name) or self._chain(call.operation)
        try:
            return chain(call)
        except NovaCronError as error:
            error.operation = error.operation or name
            error.host = error.host or self.host
            error.resource = error.resource or call.resource
            raise
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            raise DriverError(
                f"{name} failed in the driver {self.driver_name!r}: {type(error).__name__}: {error}",
                operation=name,
                host=self.host,
                resource=call.resource,
                outcome="unknown",
                hint="this is a defect of the driver; check the state before you repeat it",
            ) from error

    def _chain(self, operation: Operation) -> Callable[[Call], Any]:
        hook = self.native[operation.name][1] if operation.name in self.native else getattr(self._manager.hook, operation.name)
        takes_job = "job" in operation.arguments
        check, during = ResultCheck(self.driver_name, operation), self.driver.during

        def call_hook(call: Call) -> Any:
            with during():
                return check(hook(job=call.job, **call.arguments) if takes_job else hook(**call.arguments))

        chain: Callable[[Call], Any] = call_hook
        for policy in reversed(self._policies):
            if getattr(policy, "applies", lambda _: True)(operation):
                chain = _around(policy, chain)
        self._chains[operation.name] = chain
        return chain

    def _spec(self, operation: str) -> Operation:
        if operation in self.native:
            return self.native[operation][0]
        if operation not in operations() or not self._offers(operation):
            raise self._unknown(operation)
        return operations()[operation]

    def _offers(self, operation: str) -> bool:
        """Return whether the driver implements an operation of the contract. Its area is loaded."""
        self._load(operations()[operation].area)
        return operation in self._offered

    def _load(self, area: str) -> None:
        """Register the driver's object of an area, if the driver makes it when it is first used. Raises PluginError."""
        if area not in self._later:
            return
        with self._loading:
            if area in self._later:
                try:
                    part = self.driver.area(area)
                except ImportError as error:
                    raise PluginError(
                        f"the area {area!r} of the driver {self.driver_name!r} can't be imported: {error}", hint="reinstall it"
                    ) from error
                check_area(self.driver_name, area, part, self._checked)
                self._register(part)
                self._later.discard(area)

    def _register(self, part: object) -> None:
        self._manager.register(part)
        self._offered.update(name for name, _ in implementations(part))

    def _unknown(self, operation: str) -> UnsupportedOperationError:
        if "." in str(operation):
            return UnsupportedOperationError(
                f"the driver {self.driver_name!r} has no native operation {operation!r}",
                host=self.host,
                outcome="not_sent",
                hint=f"it has: {', '.join(sorted(self.native)) or 'none'}",
            )
        if operation not in operations():
            return UnsupportedOperationError(
                f"there is no operation {operation!r}",
                host=self.host,
                outcome="not_sent",
                hint="novacron.hookspecs lists them all",
            )
        area = operations()[operation].area
        offered = sorted(name for name in self.operations if operations()[name].area == area)
        return UnsupportedOperationError(
            f"the driver {self.driver_name!r} does not offer {operation}",
            operation=operation,
            host=self.host,
            outcome="not_sent",
            hint=f"in this area it offers: {', '.join(offered)}" if offered else f"it offers no operation in the area {area!r}",
        )


def _after_cancel(job: Job[Any]) -> str:
    """Wait until a cancelled job has ended, and return a message about its outcome."""
    what = f"{job.operation} {job.resource or ''}".rstrip()
    try:
        error = job.exception(GRACE)
    except (TimeoutError, KeyboardInterrupt):
        return f"{what}: detached; it may still run on the host, so check before repeating it"
    if error is None:
        return f"{what}: it had ended before it could be cancelled; nothing was rolled back"
    if isinstance(error, OperationCancelledError) and error.outcome == "failed":
        return f"{what}: cancelled and rolled back"
    return f"{what}: {error}" + ("; its outcome is unknown" if getattr(error, "outcome", "") == "unknown" else "")


def _around(policy: Policy, proceed: Callable[[Call], Any]) -> Callable[[Call], Any]:
    return lambda call: policy(call, proceed)


__all__ = ["GRACE", "STAGES", "Dispatcher"]
