"""A connection to a vCenter or ESXi: the session, the inventory, the tags, and what keeps the session alive."""

from __future__ import annotations

from typing import Any

from novacron.errors import HostConnectionError, InvalidSpecError, NotFoundError
from novacron.plugins import ConnectContext, HostURI
from novacron_vmware import keepalive
from novacron_vmware.collector import PropertyReader
from novacron_vmware.errors import mapped
from novacron_vmware.inventory import Inventory
from novacron_vmware.rest import RestAPI
from novacron_vmware.sdk import SmartStubAdapter, vim, vmodl
from novacron_vmware.session import Session, password_for, tls_context
from novacron_vmware.tags import VSphereTags
from novacron_vmware.tasks import wait


class VMwareConnection(PropertyReader):
    """A logged-in session; safe for many threads.

    Attributes:
        name: the host's name in records.
        root: the datacenter that the URI names, or the root folder.
        inventory: its VMs and nodes.
        tags: vSphere's own tags.
    """

    def __init__(self, uri: HostURI, context: ConnectContext) -> None:
        self.uri, self.name, self.timeout, self.options = uri.text, context.name, context.timeout, context.options
        self.secrets = context.secrets
        self.address = host, port = uri.host or "localhost", uri.port or 443
        password = password_for(uri, context)
        try:
            self.tls = tls_context(host, port, uri.query, context.timeout)
            # pyvmomi's own thumbprint= checks only the first connection of its pool, and only when the chain is not trusted
            arguments = {"host": host, "port": port, "sslContext": self.tls, "httpConnectionTimeout": context.timeout}
            self.api_version = SmartStubAdapter(**arguments).version
            session = Session(**arguments, version=self.api_version, user=uri.username or "root", password=password)
            super().__init__(session, vim.ServiceInstance("ServiceInstance", session).RetrieveContent())
            session.log_in()
        except (vmodl.MethodFault, OSError) as error:
            failure = mapped(error)
            failure.outcome = "not_sent"
            raise failure from error
        except Exception as error:  # pyvmomi raises a plain Exception for a server that is no vSphere
            if isinstance(error, HostConnectionError | InvalidSpecError):
                raise
            raise HostConnectionError(f"{host}:{port} does not answer as vSphere: {error}", outcome="not_sent") from error
        self.root = self._datacenter(uri.path.strip("/"))
        self.inventory = Inventory(self)
        self.tags = VSphereTags(RestAPI(self.session, exists=not self.is_esxi))
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
