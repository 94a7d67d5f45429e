"""A connection to a vCenter or ESXi: the session, the inventory, the tags, and what keeps the session alive."""

from __future__ import annotations

import http.client
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from novacron.errors import HostConnectionError, InvalidSpecError, NotFoundError
from novacron.plugins import ConnectContext, HostURI
from novacron_vmware import keepalive
from novacron_vmware.collector import PropertyReader
from novacron_vmware.errors import mapped
from novacron_vmware.finder import Finder
from novacron_vmware.inventory import Inventory
from novacron_vmware.names import escaped_name, plain_name
from novacron_vmware.rest import RestAPI
from novacron_vmware.sdk import vim, vmodl
from novacron_vmware.session import Session, api_version, password_for, tls_context
from novacron_vmware.tags import VSphereTags
from novacron_vmware.tasks import wait, wait_for_value


class VMwareConnection(PropertyReader):
    """A logged-in session; safe for many threads.

    Attributes:
        name: the host's name in records.
        root: the datacenter that the URI names, or the root folder.
        finder: finds objects by name, inventory path or id.
        inventory: its VMs and nodes.
        rest: its REST API.
        tags: vSphere's own tags.
    """

    def __init__(self, uri: HostURI, context: ConnectContext) -> None:
        self.uri, self.name, self.timeout, self.options = uri.text, context.name, context.timeout, context.options
        self.secrets = context.secrets
        self.address = host, port = uri.host or "localhost", uri.port or 443
        password = password_for(uri, context)
        try:
            self.tls = tls_context(host, port, uri.query, context.timeout)
            self.api_version = api_version(host, port, self.tls, context.timeout)
            # pyvmomi's own thumbprint= checks only the first connection of its pool, and only when the chain is not trusted
            arguments = {"host": host, "port": port, "sslContext": self.tls, "httpConnectionTimeout": context.timeout}
            session = Session(**arguments, version=self.api_version, user=uri.username or "root", password=password)
            super().__init__(session, session.content)
            session.log_in()
        except (vmodl.MethodFault, OSError, http.client.HTTPException) as error:
            failure = mapped(error)
            failure.outcome = "not_sent"
            raise failure from error
        except Exception as error:  # pyvmomi raises a plain Exception for a server that is no vSphere
            if isinstance(error, HostConnectionError | InvalidSpecError):
                raise
            raise HostConnectionError(f"{host}:{port} does not answer as vSphere: {error}", outcome="not_sent") from error
        try:
            self.finder = Finder(self)
            self.root = self._root([unquote(part) for part in uri.path.split("/") if part])
            self.inventory = Inventory(self, self.finder)
            self.rest = RestAPI(self.session, exists=not self.is_esxi)
            self.tags = VSphereTags(self.rest)
        except BaseException:
            self._log_out()
            raise
        self._alive = keepalive.KeepAlive(self.session, keepalive.INTERVAL)

    def _root(self, parts: list[str]) -> Any:
        """Return the object below which this host's objects are: the datacenter or folder that the URI's path names, or all.

        The path is an inventory path, "/F1/DC0". A single name may also be that of a datacenter in a folder, if only one has it.
        """
        if not parts:
            return self.content.rootFolder
        wanted = "/" + "/".join(escaped_name(part) for part in parts)
        found = self.collect_kinds({vim.Datacenter: ["name"], vim.Folder: ["name", "childType"]}, self.content.rootFolder)
        places = [(thing, read) for thing, read in found if "Datacenter" in read.get("childType", ["Datacenter"])]
        alike = [thing for thing, read in places if plain_name(read["name"]) == parts[-1]]
        by_path = [thing for thing, path in self.finder.paths(alike).items() if path == wanted]
        if len(by_path) == 1:
            return by_path[0]
        datacenters = [(thing, read) for thing, read in places if isinstance(thing, vim.Datacenter)]
        if len(parts) == 1:
            return self.finder.find(vim.Datacenter, parts[0], noun="datacenter", error=NotFoundError, among=datacenters)
        paths = sorted(self.finder.paths([thing for thing, _ in datacenters]).values())
        raise NotFoundError(f"no datacenter {wanted!r}", resource=wanted, hint=f"there are: {', '.join(paths) or 'none'}")

    def wait(self, task: Any, **how: Any) -> Any:
        """Wait for a vSphere task and return its result; see `tasks.wait`."""
        return wait(self, task, **how)

    def wait_for(self, thing: Any, path: str, value: Any, **how: Any) -> None:
        """Wait until a property of an object has a value; see `tasks.wait_for_value`."""
        wait_for_value(self, thing, path, value, **how)

    @cached_property
    def evc_modes(self) -> dict[str, Any]:
        """The EVC modes that the vCenter knows, by their keys. An ESXi alone knows none."""
        instance = vim.ServiceInstance("ServiceInstance", self.session)
        capability = self.read(instance, ["capability"])["capability"]
        return {mode.key: mode for mode in capability.supportedEVCMode or ()}

    def group_names(self) -> dict[str, str]:
        """Return the names of all distributed port groups by their keys."""
        found = self.collect(vim.dvs.DistributedVirtualPortgroup, ["key", "name"])
        return {read["key"]: plain_name(read["name"]) for _, read in found}

    def datacenter_thing(self, thing: Any) -> Any:
        """Return the datacenter that an object is in; None above all datacenters."""
        return self.finder.datacenters([thing])[thing]

    def datacenter_of(self, thing: Any) -> str:
        """Return the inventory path of the datacenter that an object is in, as URLs of files have it: without a leading slash."""
        datacenter = self.datacenter_thing(thing)
        return str(self.finder.paths([datacenter])[datacenter]).lstrip("/")

    def close(self) -> None:
        """Log out."""
        self._alive.close()
        self.inventory.close()
        self.tags.close()
        self._log_out()

    def _log_out(self) -> None:
        try:
            self.content.sessionManager.Logout()
        except (vmodl.MethodFault, OSError):
            pass  # the session or the server is gone already
        self.session.DropConnections()


__all__ = ["VMwareConnection"]
