"""Simulated hosts with power, BMCs and shared storage, and a clock that passes only when a test says so."""

import itertools
import uuid
from pathlib import Path

from novacron import Site, errors
from novacron.drivers.sim.state.world import World, world
from novacron.fleets.fencing.agents import FenceAgents
from novacron.fleets.fencing.fencer import Fencer
from novacron.plugins import hookimpl


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class Machine:
    """A simulated host as hardware: it can lose its power, or a network, in one direction or both.

    `fault` is how its BMC fails, and `bmc_network` and `storage_network` say which directions of these networks are cut.
    """

    def __init__(self, rack, name):
        self.rack, self.name = rack, name
        self.world = world(f"{name}-{uuid.uuid4().hex[:8]}")
        self.powered, self.fault, self.offs, self.pending = True, "", 0, 0
        self.bmc_network = self.storage_network = ""
        self.bmc_calls = 0  # so many calls still pass after the BMC's network was cut

    @property
    def running(self):
        return sorted(vm.name for vm in self.world.all() if vm.active)

    def cut(self):
        """Cut the management network. Its VMs keep running."""
        self.world.disconnect()

    def cut_answers(self):
        """Cut the management network in one direction: requests arrive and take effect, answers are lost."""
        self.world.faults.add("*", error=errors.HostConnectionError("no answer"), when="after", times=None)

    def cut_storage(self, direction):
        """Cut the storage network. "both ways": VMs pause at once, none can start; "one way": they pause when they write."""
        self.storage_network = direction
        if direction == "both ways":
            self.world.faults.add("vm_start", error=errors.StorageError("the storage can't be reached"), times=None)
        for vm in list(self.world.all()):
            if vm.status == "running":
                self.world.find(vm.id).status = "suspended"

    def mend_storage(self):
        """Bring the storage back. QEMU repeats the writes of paused VMs when somebody resumes them."""
        self.storage_network = ""
        self.world.faults.clear()
        for vm in list(self.world.all()):
            if vm.status == "suspended":
                self.world.set_status(self.world.find(vm.id), "running", "resumed")

    def mend(self):
        self.world.faults.clear()
        if self.powered:
            self.world.reconnect()

    def crash(self):
        """Lose the power: its VMs end."""
        self.powered = False
        for vm in list(self.world.all()):
            if vm.active:
                self.world.find(vm.id).status = "stopped"
        if self.world.faults.connected:
            self.world.disconnect()

    def boot(self):
        self.powered = True
        self.world.reconnect()


class BMC:
    """The fence agent of the machines."""

    name, required, optional = "bmc", ("machine",), ()

    def __init__(self, machines):
        self.machines = machines

    @staticmethod
    def _cut(machine):
        return machine.bmc_network if machine.bmc_calls <= 0 else ""

    def off(self, target):
        machine = self.machines[target.options["machine"]]
        machine.offs += 1
        machine.bmc_calls -= 1
        try:
            self._switch_off(machine)
        finally:
            if self._cut(machine) == "one way":
                raise errors.OperationTimeoutError("no answer", outcome="unknown")

    def _switch_off(self, machine):
        if machine.fault in ("cut", "password") or self._cut(machine) == "both ways":
            raise errors.HostConnectionError("the BMC can't be reached")
        if machine.fault == "ignores":  # it answers 204 and stays on
            return
        if machine.fault == "slow":  # it is powering off for some readings
            machine.pending = 3
            return
        machine.crash()
        if machine.fault == "timeout":
            raise errors.OperationTimeoutError("no answer", outcome="unknown")

    def status(self, target):
        machine = self.machines[target.options["machine"]]
        machine.bmc_calls -= 1
        if machine.fault == "password":
            raise errors.AuthenticationError("the BMC rejected the password")
        if machine.fault == "cut" or self._cut(machine):
            raise errors.HostConnectionError("the BMC can't be reached")
        if machine.pending:
            machine.pending -= 1
            if machine.pending == 1:
                return "off"  # once too early
            if not machine.pending:
                machine.crash()
            return "on"
        return "on" if machine.powered else "off"


class Rack:
    """Machines a, b, c, ... in the group "prod" of a site, with one shared storage pool."""

    def __init__(self, folder: Path, names: str = "abc", **settings):
        self.folder, self.clock, self.sites = folder, Clock(), []
        self.machines = {name: Machine(self, name) for name in names}
        first = self.machines[names[0]].world
        for machine in self.machines.values():
            machine.world.pools = first.pools
        self.site = self.new_site()
        fleet = self.site.fleet
        for name, machine in self.machines.items():
            fleet.add(name, f"sim://{machine.world.name}")
        fleet.nodes.refresh()
        for name in names:
            fleet.nodes.set(name, group="prod")
            fleet.fencing.set(name, "bmc", machine=name)
        defaults = {"failover": "on", "shared_pools": ["default"], "failover_grace": 10, "failover_after": 15}
        fleet.groups.set("prod", **(defaults | settings))

    def new_site(self):
        """A process of its own, as far as the state database is concerned."""
        site, machines = Site(self.folder), self.machines

        class Plugin:
            @hookimpl
            def fence_agents(self):
                return [BMC(machines)]

        site.plugins.register(Plugin(), "bmc")
        self.sites.append(site)
        return site

    def controller(self, site=None):
        site = site or self.site
        fencer = Fencer(
            FenceAgents(lambda: site.plugins.hook),
            site.secrets.get,
            site.fleet.hosts,
            patience=8,
            pause=1,
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        return site.fleet.failover.controller(fencer=fencer, clock=self.clock, interval=5.0, timeout=20.0)

    def create(self, name, on, **fields):
        fields = {"disks": [{"size": "1GiB"}], "start": True} | fields
        return self.site.fleet.hosts[on].vms.create(name=name, **fields)

    def rounds(self, controller, count):
        """Let a controller work for some rounds; return its messages."""
        messages = []
        for _ in range(count):
            messages += controller.round()
            self.clock.sleep(5)
        return messages

    def well(self, controller=None):
        """Let a controller see that all is well, until its grace period is over; return it."""
        controller = controller or self.controller()
        assert self.rounds(controller, 4) == []
        return controller

    def reboot(self, name, controller, rounds):
        """Let a machine crash, a controller work for some rounds, and the machine boot; return it."""
        machine = self.machines[name]
        machine.crash()
        self.rounds(controller, rounds)
        machine.boot()
        return machine

    def status(self, name):
        return self.site.fleet.nodes[name].status

    @property
    def running(self):
        """The running VMs of each machine."""
        return {name: machine.running for name, machine in self.machines.items()}

    @property
    def offs(self):
        return sum(machine.offs for machine in self.machines.values())

    def twice(self):
        """The VMs that run more than once now."""
        everywhere = sorted(itertools.chain(*self.running.values()))
        return sorted({name for name in everywhere if everywhere.count(name) > 1})

    def close(self):
        for site in self.sites:
            site.close()


def watch(rack, monkeypatch):
    """Look after each change of any VM whether one runs twice. Returns the list of what was seen."""
    seen, original = [], World.set_status

    def set_status(self, vm, status, reason):
        original(self, vm, status, reason)
        if status == "running" and any(each.world is self and each.storage_network for each in rack.machines.values()):
            original(self, vm, "suspended", "I/O error")
        if twice := rack.twice():
            seen.append((twice, self.name, status))

    monkeypatch.setattr(World, "set_status", set_status)
    return seen
