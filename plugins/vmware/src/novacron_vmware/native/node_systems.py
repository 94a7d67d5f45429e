"""Services, time servers, advanced settings and reboots of nodes."""

from __future__ import annotations

from typing import Any, Literal

from novacron.errors import InvalidSpecError, InvalidStateError, NotFoundError, SpecProblem, UnsupportedOperationError
from novacron.jobs import Job
from novacron_vmware.errors import translated
from novacron_vmware.gone import still_there
from novacron_vmware.native.area import NativeOperations, vsphere
from novacron_vmware.native.records import NodeService, NodeTime, Setting
from novacron_vmware.sdk import vim


class VSphereNodeSystems(NativeOperations):
    """Services of nodes: list, start, stop, restart, policy; time servers; reboot."""

    @vsphere.operation(kind="read")
    def node_service_list(self, node: str) -> list[NodeService]:
        """List the services of a node, such as TSM-SSH."""
        info = self._connection.read(self._system(node, "serviceSystem"), ["serviceInfo"])["serviceInfo"]
        found = [NodeService(name=s.key, label=s.label, running=bool(s.running), policy=s.policy) for s in info.service or ()]
        return sorted(found, key=lambda service: service.name)

    @vsphere.operation(kind="change", idempotent=True)
    def node_service_start(self, node: str, service: str) -> NodeService:
        """Start a service of a node."""
        self._call(node, service, "StartService")
        return self._service(node, service)

    @vsphere.operation(kind="change", idempotent=True)
    def node_service_stop(self, node: str, service: str) -> NodeService:
        """Stop a service of a node."""
        self._call(node, service, "StopService")
        return self._service(node, service)

    @vsphere.operation(kind="change")
    def node_service_restart(self, node: str, service: str) -> NodeService:
        """Restart a service of a node."""
        self._call(node, service, "RestartService")
        return self._service(node, service)

    @vsphere.operation(kind="change", idempotent=True)
    def node_service_policy(self, node: str, service: str, policy: Literal["on", "off", "automatic"]) -> NodeService:
        """Say when a service of a node starts.

        Args:
            node: its name, inventory path or id.
            service: the service.
            policy: "on" with the node, "off" never, "automatic" while its port is open.
        """
        self._call(node, service, "UpdateServicePolicy", policy)
        return self._service(node, service)

    @vsphere.operation(kind="read")
    def node_time(self, node: str) -> NodeTime:
        """Show a node's time and its time servers."""
        system = self._system(node, "dateTimeSystem")
        info = self._connection.read(system, ["dateTimeInfo"])["dateTimeInfo"]
        with translated(node):
            now = system.QueryDateTime()
        servers = tuple(getattr(info.ntpConfig, "server", None) or ())
        return NodeTime(name=node, at=now.isoformat(), zone=info.timeZone.name, servers=servers)

    @vsphere.operation(kind="change", idempotent=True)
    def node_time_servers(self, node: str, servers: tuple[str, ...]) -> NodeTime:
        """Set a node's time servers (NTP). They are used while the service ntpd runs."""
        system = self._system(node, "dateTimeSystem")
        with translated(node):
            system.UpdateDateTimeConfig(vim.host.DateTimeConfig(ntpConfig=vim.host.NtpConfig(server=list(servers))))
        return self.node_time(node)

    @vsphere.operation(kind="job", destroys=True)
    def node_reboot(self, node: str, job: Job[NodeTime]) -> NodeTime:
        """Reboot a node. It has to be in maintenance mode."""
        thing = self._find(vim.HostSystem, node, "node")
        if not self._connection.read(thing, ["runtime.inMaintenanceMode"]).get("runtime.inMaintenanceMode"):
            raise InvalidStateError(f"{node!r} is in use", resource=node, hint="let it enter maintenance mode first")
        self._run(node, lambda: thing.RebootHost_Task(False), job)
        return self.node_time(node)

    @vsphere.operation(kind="read")
    def node_setting_list(self, node: str, prefix: str = "") -> list[Setting]:
        """List advanced settings of a node.

        Args:
            node: its name, inventory path or id.
            prefix: only those whose names begin with it.
        """
        options = self._connection.read(self._system(node, "advancedOption"), ["setting"]).get("setting") or ()
        found = [Setting(name=each.key, value=each.value) for each in options if each.key.startswith(prefix)]
        return sorted(found, key=lambda each: each.name)

    @vsphere.operation(kind="change", idempotent=True)
    def node_setting_set(self, node: str, name: str, value: str) -> Setting:
        """Set an advanced setting of a node. The value has to be of the setting's type.

        Args:
            node: its name, inventory path or id.
            name: the setting, such as Net.FollowHardwareMac.
            value: its new value.
        """
        known = {each.name: each.value for each in self.node_setting_list(node)}
        if name not in known:
            raise NotFoundError(f"{node!r} has no setting {name!r}", resource=name, hint="list the settings of the node")
        option = vim.option.OptionValue(key=name, value=_of_type(known[name], name, value))
        with translated(name):
            self._system(node, "advancedOption").UpdateOptions([option])
        return still_there(each for each in self.node_setting_list(node) if each.name == name)

    def _system(self, node: str, name: str) -> Any:
        thing = self._find(vim.HostSystem, node, "node")
        system = self._connection.read(thing, [f"configManager.{name}"]).get(f"configManager.{name}")
        if system is None:
            raise UnsupportedOperationError(
                f"{node!r} has no {name}", resource=node, hint="connect the node to its vCenter first"
            )
        return system

    def _service(self, node: str, service: str) -> NodeService:
        known = self.node_service_list(node)
        for each in known:
            if each.name == service:
                return each
        names = ", ".join(each.name for each in known)
        raise NotFoundError(f"{node!r} has no service {service!r}", resource=service, hint=f"there are: {names}")

    def _call(self, node: str, service: str, method: str, *more: str) -> None:
        self._service(node, service)
        with translated(service):
            getattr(self._system(node, "serviceSystem"), method)(service, *more)


def _of_type(now: Any, name: str, text: str) -> Any:
    """Return a value of the type that a setting has now. Raises InvalidSpecError."""
    if isinstance(now, bool) and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if isinstance(now, int) and not isinstance(now, bool):
            return type(now)(int(text))
    except ValueError:
        pass
    else:
        if isinstance(now, str):
            return text
    allowed = "true or false" if isinstance(now, bool) else "a number"
    raise InvalidSpecError("invalid value", resource=name, problems=[SpecProblem("value", text, allowed)])


__all__ = ["VSphereNodeSystems"]
