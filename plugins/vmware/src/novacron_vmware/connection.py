"""One session with a vCenter or ESXi: TLS, login, property reads in bulk, tasks waited for."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from novacron.errors import (
    AuthenticationError,
    HostConnectionError,
    InvalidSpecError,
    NotFoundError,
    OperationTimeoutError,
    SpecProblem,
)
from novacron.jobs import Job
from novacron.plugins import ConnectContext, HostURI
from novacron_vmware.errors import mapped, translated
from novacron_vmware.sdk import SmartStubAdapter, SoapStubAdapter, vim, vmodl

PASSWORD = "NOVACRON_VSPHERE_PASSWORD"  # noqa: S105 - the variable's name
PAGE = 500
"""Objects in one answer of the property collector."""


class VMwareConnection:
    """A logged-in session; safe for many threads.

    Attributes:
        content: vSphere's ServiceContent, read once.
        name: the host's name in records.
    """

    def __init__(self, uri: HostURI, context: ConnectContext) -> None:
        self.uri, self.name, self.timeout = uri.text, context.name, context.timeout
        host, port = uri.host or "localhost", uri.port or 443
        password = context.options.get("password", os.environ.get(PASSWORD))
        if password is None:
            raise AuthenticationError(f"no password for {host}", outcome="not_sent", hint=f"set {PASSWORD}, or give password=...")
        try:
            tls = _tls(host, port, uri.query, context.timeout)
            # pyvmomi's own thumbprint= checks only the first connection of its pool, and only when the chain is not trusted
            arguments = {"host": host, "port": port, "sslContext": tls, "httpConnectionTimeout": context.timeout}
            version = SmartStubAdapter(**arguments).version
            self._stub = _Session(**arguments, version=version, user=uri.username or "root", password=password)
            self.content = vim.ServiceInstance("ServiceInstance", self._stub).RetrieveContent()
            self._stub.log_in()
        except (vmodl.MethodFault, OSError) as error:
            failure = mapped(error)
            failure.outcome = "not_sent"
            raise failure from error
        except Exception as error:  # pyvmomi raises a plain Exception for a server that is no vSphere
            if isinstance(error, HostConnectionError | InvalidSpecError):
                raise
            raise HostConnectionError(f"{host}:{port} does not answer as vSphere: {error}", outcome="not_sent") from error
        self.root = self._datacenter(uri.path.strip("/"))

    def _datacenter(self, name: str) -> Any:
        """Return the folder or datacenter under which this host's objects are: one datacenter, or all."""
        if not name:
            return self.content.rootFolder
        names = {found["name"]: thing for thing, found in self.collect(vim.Datacenter, ["name"], self.content.rootFolder)}
        if name not in names:
            raise NotFoundError(f"no datacenter {name!r}", hint=f"there are: {', '.join(sorted(names)) or 'none'}")
        return names[name]

    def collect(self, kind: Any, paths: Sequence[str], root: Any = None) -> list[tuple[Any, dict[str, Any]]]:
        """Read exactly these properties of all objects of a kind below `root`: a few calls, however many objects there are."""
        Filter = vmodl.query.PropertyCollector
        with translated():
            view = self.content.viewManager.CreateContainerView(root or self.root, [kind], True)
            try:
                walk = Filter.TraversalSpec(type=vim.view.ContainerView, path="view", skip=False)
                start = Filter.ObjectSpec(obj=view, skip=True, selectSet=[walk])
                return self._retrieve(start, kind, paths)
            finally:
                view.Destroy()

    def read(self, thing: Any, paths: Sequence[str]) -> dict[str, Any]:
        """Read exactly these properties of one object, in one call."""
        with translated():
            found = self._retrieve(vmodl.query.PropertyCollector.ObjectSpec(obj=thing), type(thing), paths)
        return found[0][1] if found else {}

    def _retrieve(self, start: Any, kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        Filter, collector = vmodl.query.PropertyCollector, self.content.propertyCollector
        wanted = Filter.FilterSpec(objectSet=[start], propSet=[Filter.PropertySpec(type=kind, pathSet=list(paths))])
        page, found = collector.RetrievePropertiesEx([wanted], Filter.RetrieveOptions(maxObjects=PAGE)), []
        while page:
            found += [(item.obj, {p.name: p.val for p in item.propSet}) for item in page.objects]
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    def wait(self, task: Any, *, resource: str, job: Job[Any] | None = None, seconds: float = 300.0) -> Any:
        """Wait for a vSphere task and return its result; a cancelled job cancels the task.

        Raises:
            NovaCronError: what the task's fault maps to.
            OperationTimeoutError: it still runs after `seconds`; its outcome is unknown.
        """
        Filter, deadline, asked = vmodl.query.PropertyCollector, time.monotonic() + seconds, False
        with translated(resource):
            collector = self.content.propertyCollector.CreatePropertyCollector()  # its updates are this task's alone
            try:
                paths = ["info.state", "info.progress", "info.error", "info.result"]
                wanted = Filter.PropertySpec(type=vim.Task, pathSet=paths)
                collector.CreateFilter(Filter.FilterSpec(objectSet=[Filter.ObjectSpec(obj=task)], propSet=[wanted]), False)
                now, version = dict[str, Any](), ""
                while now.get("info.state") not in ("success", "error"):
                    if job is not None and job.cancel_asked and not asked:
                        asked = True
                        with suppress(vmodl.MethodFault):  # it can't be cancelled, or has just ended: how it ends decides
                            task.CancelTask()
                    if time.monotonic() > deadline:
                        raise OperationTimeoutError(
                            f"vSphere's task still runs after {seconds:g} s", resource=resource, outcome="unknown"
                        )
                    pause = Filter.WaitOptions(maxWaitSeconds=1)
                    update = collector.WaitForUpdatesEx(version, pause)
                    for change in (c for s in (update.filterSet if update else ()) for o in s.objectSet for c in o.changeSet):
                        now[change.name] = change.val
                    version = update.version if update else version
                    if job is not None and now.get("info.progress") is not None:
                        job.report(str(now.get("info.state")), now["info.progress"] / 100)
            finally:
                collector.DestroyPropertyCollector()
        if now["info.state"] == "error":
            fault = now["info.error"]
            raise mapped(fault, resource=resource) from fault
        return now.get("info.result")

    def close(self) -> None:
        """Log out."""
        try:
            self.content.sessionManager.Logout()
        except (vmodl.MethodFault, OSError):
            pass  # the session or the server is gone already
        self._stub.DropConnections()


class _Session(SoapStubAdapter):  # type: ignore[misc]
    """A stub that logs in again when its session expired. The call that found out was not carried out, so it is repeated.

    pyvmomi's SessionOrientedStub also repeats calls whose connection broke, and these may have been carried out.
    """

    def __init__(self, *, user: str, password: str, **arguments: Any) -> None:
        super().__init__(path="/sdk", **arguments)
        self._user, self._password, self._guard = user, password, threading.RLock()

    def log_in(self) -> None:
        content = vim.ServiceInstance("ServiceInstance", self).RetrieveContent()
        content.sessionManager.Login(self._user, self._password)

    def InvokeMethod(self, mo: Any, info: Any, args: Any, outerStub: Any = None) -> Any:
        try:
            return super().InvokeMethod(mo, info, args, outerStub)
        except vim.fault.NotAuthenticated:
            if info.name in ("Login", "Logout"):
                raise
            with self._guard:
                self.log_in()
            return super().InvokeMethod(mo, info, args, outerStub)


def _tls(host: str, port: int, query: Any, timeout: float) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities, exactly one certificate, or anything, as the URI says."""
    verify, thumbprint = query.get("verify", "yes"), query.get("thumbprint", "").replace(":", "").lower()
    if verify not in ("yes", "no"):
        raise InvalidSpecError("invalid URI", problems=[SpecProblem("verify", verify, "yes or no")])
    if thumbprint and len(thumbprint) not in (40, 64):
        raise InvalidSpecError(
            "invalid URI", problems=[SpecProblem("thumbprint", thumbprint, "a SHA-256 or SHA-1 in hexadecimal")]
        )
    context = ssl.create_default_context()
    if thumbprint or verify == "no":
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port), timeout) as plain, context.wrap_socket(plain, server_hostname=host) as probe:
        certificate = probe.getpeercert(binary_form=True) or b""
    if thumbprint:
        found = hashlib.new("sha256" if len(thumbprint) == 64 else "sha1", certificate, usedforsecurity=True).hexdigest()
        if not hmac.compare_digest(found, thumbprint):
            raise HostConnectionError(f"the certificate of {host} has the thumbprint {found}, not {thumbprint}", outcome="not_sent",
                hint="if that is the right server and it got a new certificate, give the new thumbprint")  # fmt: skip
        # from here on that very certificate is the one authority, for every connection of the session
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=certificate)
    return context


__all__ = ["PASSWORD", "VMwareConnection"]
