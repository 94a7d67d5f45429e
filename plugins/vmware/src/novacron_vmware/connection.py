"""One session with a vCenter or ESXi: TLS, login, property reads in bulk, tasks waited for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novacron.errors import HostConnectionError, InvalidSpecError, NotFoundError
from novacron.plugins import ConnectContext, HostURI
from novacron_vmware import keepalive
from novacron_vmware.errors import mapped, translated
from novacron_vmware.inventory import PAGE, Inventory
from novacron_vmware.sdk import SmartStubAdapter, vim, vmodl
from novacron_vmware.session import Session, password_for, tls_context
from novacron_vmware.tags import VSphereTags
from novacron_vmware.tasks import wait


class VMwareConnection:
    """A logged-in session; safe for many threads.

    Attributes:
        content: vSphere's ServiceContent, read once.
        name: the host's name in records.
        root: the datacenter, or the folder of all.
        inventory: its VMs and nodes.
        tags: vSphere's own tags.
    """

    def __init__(self, uri: HostURI, context: ConnectContext) -> None:
        self.uri, self.name, self.timeout, self.options = uri.text, context.name, context.timeout, context.options
        self.address = host, port = uri.host or "localhost", uri.port or 443
        password = password_for(uri, context)
        try:
            self.tls = tls_context(host, port, uri.query, context.timeout)
            # pyvmomi's own thumbprint= checks only the first connection of its pool, and only when the chain is not trusted
            arguments = {"host": host, "port": port, "sslContext": self.tls, "httpConnectionTimeout": context.timeout}
            self.api_version = SmartStubAdapter(**arguments).version
            self.session = Session(**arguments, version=self.api_version, user=uri.username or "root", password=password)
            self.content = vim.ServiceInstance("ServiceInstance", self.session).RetrieveContent()
            self.session.log_in()
        except (vmodl.MethodFault, OSError) as error:
            failure = mapped(error)
            failure.outcome = "not_sent"
            raise failure from error
        except Exception as error:  # pyvmomi raises a plain Exception for a server that is no vSphere
            if isinstance(error, HostConnectionError | InvalidSpecError):
                raise
            raise HostConnectionError(f"{host}:{port} does not answer as vSphere: {error}", outcome="not_sent") from error
        self.root = self._datacenter(uri.path.strip("/"))
        self.inventory, self.tags = Inventory(self), VSphereTags(self)
        self._groups: dict[str, str] = {}
        self._alive = keepalive.KeepAlive(self.session, keepalive.INTERVAL)

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
                return self._retrieve([start], kind, paths)
            finally:
                view.Destroy()

    def read(self, thing: Any, paths: Sequence[str]) -> dict[str, Any]:
        """Read exactly these properties of one object, in one call."""
        with translated():
            found = self._retrieve([vmodl.query.PropertyCollector.ObjectSpec(obj=thing)], type(thing), paths)
        return found[0][1] if found else {}

    def read_all(self, things: Sequence[Any], kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        """Read exactly these properties of many objects, in one call for a page of them."""
        if not things:
            return []
        with translated():
            return self._retrieve([vmodl.query.PropertyCollector.ObjectSpec(obj=thing) for thing in things], kind, paths)

    def _retrieve(self, start: list[Any], kind: Any, paths: Sequence[str]) -> list[tuple[Any, dict[str, Any]]]:
        """Read in pages. Without a session the collector answers too, with every property missing: then log in and read again."""
        Filter, collector = vmodl.query.PropertyCollector, self.content.propertyCollector
        wanted = Filter.FilterSpec(objectSet=start, propSet=[Filter.PropertySpec(type=kind, pathSet=list(paths))])
        logins = self.session.logins
        page, found = collector.RetrievePropertiesEx([wanted], Filter.RetrieveOptions(maxObjects=PAGE)), []
        while page:
            if any(isinstance(gap.fault, vim.fault.NotAuthenticated) for item in page.objects for gap in item.missingSet or ()):
                self.session.log_in_again(logins)
                return self._retrieve(start, kind, paths)
            found += [(item.obj, {p.name: p.val for p in item.propSet}) for item in page.objects]
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    def wait(self, task: Any, **how: Any) -> Any:
        """Wait for a vSphere task and return its result; see `tasks.wait`."""
        return wait(self, task, **how)

    def group_name(self, key: str) -> str:
        """Return the name of a distributed port group; its key where it is not to be seen."""
        if key not in self._groups:
            found = self.collect(vim.dvs.DistributedVirtualPortgroup, ["key", "name"])
            self._groups = {read["key"]: read["name"] for _, read in found}
        return self._groups.get(key, key)

    def datacenter_thing(self, thing: Any) -> Any:
        """Return the datacenter that an object is in; None above all datacenters."""
        while thing is not None and not isinstance(thing, vim.Datacenter):
            thing = self.read(thing, ["parent"]).get("parent")
        return thing

    def datacenter_of(self, thing: Any) -> str:
        """Return the inventory path of the datacenter that an object is in, as files' URLs want it."""
        names, thing = list[str](), self.datacenter_thing(thing)
        while thing is not None and thing != self.content.rootFolder:
            read = self.read(thing, ["name", "parent"])
            names.append(read["name"])
            thing = read.get("parent")
        return "/".join(reversed(names))

    def close(self) -> None:
        """Log out."""
        self._alive.close()
        self.inventory.close()
        self.tags.close()
        try:
            self.content.sessionManager.Logout()
        except (vmodl.MethodFault, OSError):
            pass  # the session or the server is gone already
        self.session.DropConnections()


__all__ = ["VMwareConnection"]
