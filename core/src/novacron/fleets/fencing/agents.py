"""The built-in fence agents, and those of plugins (hook `fence_agents`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from novacron.errors import NotFoundError, either
from novacron.fleets.fencing.debian import FenceProgram
from novacron.fleets.fencing.host_vm import HostVM
from novacron.fleets.fencing.manual import Manual
from novacron.fleets.fencing.redfish import Redfish
from novacron.plugins.names import by_name, refuse_claimed

if TYPE_CHECKING:
    from novacron.hookspecs.application import FenceAgent


class FenceAgents:
    """The fence agents by name.

    Args:
        hooks: returns the hooks of the plugins.
    """

    def __init__(self, hooks: Callable[[], Any]) -> None:
        self._hooks = hooks

    def all(self) -> Mapping[str, FenceAgent]:
        """Return all agents. An agent of a plugin can't replace a built-in one; see `novacron.plugins.names`."""
        built_in: list[FenceAgent] = [Manual(), Redfish(), HostVM(), FenceProgram()]
        given = (agent for agents in self._hooks().fence_agents() for agent in agents)
        return by_name("fence agent", given, built_in={agent.name: agent for agent in built_in})

    def find(self, name: str) -> FenceAgent:
        """Return an agent.

        Raises:
            NotFoundError
            PluginError: several plugins claim the name; it names them.
        """
        found = self.all()
        if name not in found:
            refuse_claimed("fence agent", name, self._hooks().fence_agents)
            raise NotFoundError(f"no fence agent named {name!r}", resource=name, hint=f"there are {either(sorted(found))}")
        return found[name]


__all__ = ["FenceAgents"]
