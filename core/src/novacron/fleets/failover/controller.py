"""The failover controller: one process at a time watches the nodes, fences those that fail, and restarts their VMs elsewhere.

The controller holds a lease of the state database with a fencing number. All its writes check the number in their own transaction, and it
checks the number before each step that can't be undone. Times are those of this process only.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from novacron.errors import BusyError, NovaCronError, StorageError
from novacron.fleets.asking import Askable
from novacron.fleets.failover.observing import Observations, brake, second_view
from novacron.fleets.failover.places import Places, Seen
from novacron.fleets.failover.presence import LAST_LOOK, STRANGER, NodeAnsweredError, Presences, StrangerError
from novacron.fleets.failover.protecting import NEVER_RESTARTED, read_protected
from novacron.fleets.failover.rebooting import PATIENCE, Reboots
from novacron.fleets.failover.restarting import Restarter, taker_of_allocation
from novacron.fleets.failover.returning import cleaned, left_behind, stays_home
from novacron.fleets.failover.times import Times
from novacron.fleets.failover.watching import unwatched
from novacron.fleets.fencing.fencer import Fencer
from novacron.fleets.groups import settings_of
from novacron.fleets.nodes import Recorded
from novacron.records.capacity import FleetNode
from novacron.records.failover import Failover, RestartedVM
from novacron.store.allocations import AllocationStore
from novacron.store.failovers import FailoverStore, Right
from novacron.store.fencing import FenceStore
from novacron.store.nodes import NodeStore
from novacron.threads import fan_out

if TYPE_CHECKING:
    import threading

_log = logging.getLogger(__name__)

TASK = "failover"
"""The name of the lease."""
AFTER, GRACE = 15.0, 60.0
"""The defaults of the settings `failover_after` and `failover_grace`, in seconds."""
SAVE_INTERVAL = 60.0
"""Seconds between two readings of the definitions of all VMs. A node that has just fallen silent delays them for as long."""
LONGEST_DELAY = 300.0
"""Seconds for which nodes that fall silent again and again delay them at most: VMs without a stored definition are not restarted."""
SHORTEST_PAUSE = 0.5
"""Seconds between two rounds, at least."""


class FailoverController:
    """Watches the nodes of all groups with failover.

    Args:
        fleet: the fleet.
        nodes: the stored nodes.
        store: where failovers are stored.
        devices: where fence devices are stored.
        allocations: the allocations.
        fencer: operates the fence devices.
        restarter: restarts VMs.
        right: takes the lease of the controller; returns None if another process has it.
        refresh: reads hosts, as `fleet.nodes.refresh` does.
        secrets: returns the value of a secret.
        recorded: writes audit lines.
        interval: seconds from the beginning of a round to that of the next one. A round that takes longer delays the next one.
        timeout: seconds that a host may take to answer.
        clock: returns a time that never jumps.
    """

    def __init__(
        self,
        fleet: Askable,
        nodes: NodeStore,
        store: FailoverStore,
        devices: FenceStore,
        allocations: AllocationStore,
        fencer: Fencer,
        restarter: Restarter,
        right: Callable[[], Right | None],
        refresh: Callable[[Sequence[str]], object],
        secrets: Callable[[str], str],
        recorded: Recorded,
        *,
        interval: float = 5.0,
        timeout: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fleet, self._nodes, self._store, self._devices = fleet, nodes, store, devices
        self._allocations, self._fencer, self._restarter = allocations, fencer, restarter
        self._take, self._refresh, self._secrets, self._recorded = right, refresh, secrets, recorded
        self._interval, self._timeout, self._clock = interval, timeout, clock
        self._seen = Observations(clock, interval)
        self._saved: dict[str, float] = {}
        self._delayed_since: float | None = None
        self._presences = Presences(fleet, timeout)
        self._places = Places(fleet, nodes, allocations, timeout)
        self._reboots = Reboots(fleet, store, self._places, clock)
        self._times: dict[str, Times] = {}
        self._cancelling: dict[str, tuple[float, list[str]]] = {}
        self._strangers = self._answering = frozenset[str]()
        self._right: Right | None = None

    def run(self, stop: threading.Event, rounds: int | None = None, say: Callable[[str], object] = _log.info) -> None:
        """Work until `stop` is set, or for so many rounds.

        Args:
            stop: ends the work.
            rounds: how many rounds; None for no limit.
            say: is called with messages for the administrator, each one once until it changes.
        """
        said: list[str] = []
        done = 0
        while not stop.is_set() and (rounds is None or done < rounds):
            began = self._clock()
            try:
                now = self.round()
            except (BusyError, StorageError) as error:
                self._right = None
                self._seen.restart()
                now = [f"nothing is done: {error}"]
            for text in now:
                if text not in said:
                    say(text)
            said, done = now, done + 1
            if rounds is None or done < rounds:
                stop.wait(max(self._interval - (self._clock() - began), SHORTEST_PAUSE))

    def round(self) -> list[str]:
        """Look at all nodes once, and do what has to be done. Returns messages for the administrator.

        Raises:
            BusyError: another controller has taken over.
            StorageError: the state database can't be used. Nothing is done without it.
        """
        if self._right is None:
            self._right = self._take()
            self._seen.restart()
        if self._right is None:
            return ["waiting: another process is the failover controller"]
        self._store.check(self._right)
        self._seen.begin_round()
        try:
            return self._round(self._right)
        finally:
            self._seen.end_round()

    def _round(self, right: Right) -> list[str]:
        watched, messages = self._watched()
        silent, returned = self._look(watched)
        messages += self._reboots.look(right, watched, silent, returned)  # before the refresh takes their VMs for stopped
        self._save_definitions([node for node in watched if node.id not in silent and node.status == "up"])
        messages += self._mark(right, watched, silent)
        groups = sorted({node.group for node in watched if node.group})
        for group in groups:
            members = [node for node in watched if node.group == group]
            messages += self._fence_failed(right, group, members, silent)
        nodes = {node.id: node for node in self._nodes.list()}
        for failover in self._store.continuing(nodes):
            node = nodes.get(failover.node)
            if node is None:
                messages += self._leave(right, failover)
                continue
            if failover.stage == "left":
                steps = ["its host was added to the fleet again"]
                self._store.advance(right, failover, "quarantined", status="quarantined", reason=steps[0], steps=steps)
                continue  # the next round cleans it
            try:
                messages += self._advance(right, failover, node, silent)
            except (BusyError, StorageError):
                raise
            except NovaCronError as error:  # the other failovers go on, and this one is tried again in the next round
                messages.append(f"{node.name}: {error}")
        return messages

    # ---- what is seen

    def _watched(self) -> tuple[list[FleetNode], list[str]]:
        """Return the nodes of groups with failover, and messages that say which of them can't be watched.

        Nodes whose VMs something else restarts, such as vSphere's HA, are left to it.
        """
        nodes, hosts = self._nodes.list(), {host.name for host in self._fleet.list()}
        groups = {
            name for name in {node.group for node in nodes if node.group} if settings_of(self._nodes, name).failover == "on"
        }
        own = [node for node in nodes if node.group in groups and node.status != "maintenance" and not node.restarted_by]
        left = {node.id: f"{node.name} is not watched: {why}" for node in own if (why := unwatched(node, nodes, hosts))}
        return [node for node in own if node.id not in left], [*left.values()]

    def _look(self, watched: Sequence[FleetNode]) -> tuple[frozenset[str], list[FleetNode]]:
        """Ask all nodes; return the ids of those that do not answer themselves, and the nodes that answer again."""
        self._seen.keep({node.id for node in watched})
        asked_at = self._clock()
        found = list(zip(watched, self._presences.of(watched), strict=True))
        returned = [node for node, presence in found if presence == "itself" and self._seen.answered(node.id)]
        silent = frozenset(node.id for node, presence in found if presence != "itself")
        for node in silent:
            self._seen.silent(node, asked_at)
        self._strangers = frozenset(node.id for node, presence in found if presence == "stranger")
        self._answering = frozenset(node.id for node, presence in found if presence != "silent")
        return silent, returned

    def _save_definitions(self, nodes: Sequence[FleetNode]) -> None:
        """Store the definitions of the VMs of nodes, if the last time is long enough ago."""
        due = [node for node in nodes if self._clock() - self._saved.get(node.id, float("-inf")) >= SAVE_INTERVAL]
        if not due:
            return
        if self._seen.silent_within(SAVE_INTERVAL):  # this may take long, and would delay a failover
            self._delayed_since = self._delayed_since or self._clock()
            if self._clock() - self._delayed_since < LONGEST_DELAY:
                return
        self._delayed_since = None
        self._refresh([node.host for node in due])
        known = self._store.protected()
        places = {node.host: (node, settings_of(self._nodes, node.group).shared_pools or []) for node in due}
        answers = self._fleet.ask(
            [node.host for node in due],
            lambda host: read_protected(host, *places[host.name], known, self._secrets),
            timeout=max(60.0, self._timeout),
        )
        for node, answer in zip(due, answers, strict=True):
            if answer.error is None:
                self._store.save_protected(node.id, *answer.value)
                self._saved[node.id] = self._clock()

    def _mark(self, right: Right, watched: Sequence[FleetNode], silent: frozenset[str]) -> list[str]:
        """Store which nodes are suspect, and which are not any more."""
        messages = []
        for node in watched:
            after = settings_of(self._nodes, node.group).failover_after or AFTER
            if node.status in ("up", "unreachable") and node.id in silent and self._seen.suspect(node.id, after):
                self._store.check(right)
                why = STRANGER if node.id in self._strangers else "it does not answer"
                if not self._nodes.change(node.id, only=("up", "unreachable"), status="suspect", reason=why):
                    continue  # a person has begun its maintenance meanwhile
                messages.append(f"{node.name} is suspect: {why}")
            elif node.status == "suspect" and node.id not in silent:
                self._store.check(right)
                self._nodes.change(node.id, only=("suspect",), status="up", reason="")
        return messages

    # ---- what is done

    def _fence_failed(self, right: Right, group: str, members: Sequence[FleetNode], silent: frozenset[str]) -> list[str]:
        """Begin the failover of at most one node of a group."""
        after = settings_of(self._nodes, group).failover_after or AFTER
        failed = [node for node in members if node.id in silent and self._seen.suspect(node.id, after)]
        failed = [node for node in failed if node.status not in ("fencing", "fenced", "quarantined")]
        if not failed:
            return []
        if why := self._braked(group, members, silent):
            return [f"{node.name} is not fenced: {why}" for node in failed]
        strange = [f"{node.name} is not fenced: {STRANGER}" for node in failed if node.id in self._strangers]
        failed = [node for node in failed if node.id not in self._strangers]
        return strange + (self._begin(right, group, failed[0], members, silent) if failed else [])

    def _begin(
        self, right: Right, group: str, node: FleetNode, members: Sequence[FleetNode], silent: frozenset[str]
    ) -> list[str]:
        """Begin the failover of a node, if its silence is confirmed."""
        devices = self._devices.list(node.id)
        if not devices:
            return [f"{node.name} is not fenced: it has no fence device"]
        if all(device.agent == "manual" for device in devices):
            readings, problems = {"manual": "on"}, ""  # a person decides
        else:
            read = [self._fencer.read(node, device) for device in devices]
            readings = {each.device: str(each.status) for each in read}
            problems = "".join(f"; {each.device}: {each.error}" for each in read if each.error)
        if why := second_view(readings, any(each.id not in silent for each in members)):
            return [f"{node.name} is not fenced: {why}{problems}"]
        seen = ", ".join(f"{name} reports {status}" for name, status in sorted(readings.items()))
        if self._store.begin(right, node.id, node.name, group, f"it does not answer; {seen}") is None:
            return [f"{node.name} is not fenced: its status was changed meanwhile"]
        self._times[node.id] = Times(self._clock, silent=self._seen.silent_for(node.id))
        return [f"{node.name} is being fenced"]

    def _braked(self, group: str, members: Sequence[FleetNode], silent: frozenset[str]) -> str:
        """Return why no node of a group may be fenced now; empty if one may."""
        settings, fleet = settings_of(self._nodes, group), settings_of(self._nodes, None)
        grace = GRACE if settings.failover_grace is None else settings.failover_grace
        down = {node.id for node in members if node.id in silent or node.status in ("fencing", "fenced", "quarantined")}
        disarmed = bool(settings.failover_disarmed or fleet.failover_disarmed)
        return brake(down, [node.id for node in members], self._seen.age, grace, disarmed)

    def _advance(self, right: Right, failover: Failover, node: FleetNode, silent: frozenset[str]) -> list[str]:
        if failover.stage in ("fencing", "waiting"):
            return self._fence(right, failover, node, silent)
        if failover.stage == "restarting":
            return self._restart(right, failover, node, answers=node.id in self._answering)
        if node.id not in silent and self._answers(node):
            return self._returned(right, failover, node)
        return []

    def _fence(self, right: Right, failover: Failover, node: FleetNode, silent: frozenset[str]) -> list[str]:
        """Switch the node off. If it is not certainly off, a person is asked, and nothing more is done until then."""
        if failover.stage == "waiting" and not failover.confirmed_by:
            if node.id in silent or not self._answers(node):
                return [f"{node.name}: {failover.reason}"]
            return self._cancel(right, failover, node)
        if failover.id in self._cancelling and node.id not in silent and self._answers(node):
            return self._cancel(right, failover, node)

        members = [each for each in self._watched()[0] if each.group == failover.group]
        if not failover.confirmed_by and (why := self._braked(failover.group, members, silent)):
            return [f"{node.name} is not fenced: {why}"]

        def allowed() -> None:
            self._store.check(right)
            presence = self._presences.now(node)
            if presence == "itself":
                raise NodeAnsweredError
            if presence == "stranger" and not failover.confirmed_by:
                raise StrangerError

        steps: tuple[str, ...]
        try:
            if failover.confirmed_by:
                allowed()
                off, steps = True, (f"{failover.confirmed_by} has confirmed that it is off",)
            else:
                result = self._fencer.fence(node, self._devices.list(node.id), allowed=allowed)
                off, steps = result.off, result.steps
        except NodeAnsweredError:
            return self._cancel(right, failover, node)
        except StrangerError:
            return [f"{node.name} is not fenced: {STRANGER}"]
        if not off:
            ask = f"it may still run; switch it off, then run `novacron host confirm-fenced {node.name}`"
            self._store.advance(right, failover, "waiting", status="fencing", reason=ask, steps=steps)
            return [f"{node.name}: {ask}"]
        self._take_vms(right, failover)
        self._store.advance(right, failover, "restarting", status="fenced", reason="it is off", steps=steps)
        self._times_of(node).fenced()
        return [f"{node.name} is off", *self._restart(right, failover, node, answers=False)]

    def _leave(self, right: Right, failover: Failover) -> list[str]:
        """End the failover of a node whose host was removed from the fleet. VMs that wait are not restarted, and a person is told."""
        waiting = [vm for vm in self._store.vms(failover.id) if vm.status in ("pending", "placed")]
        said = f"{failover.node_name} has left the fleet" + (
            f"; not restarted: {', '.join(vm.name for vm in waiting)}" if waiting else ""
        )
        with self._recorded("failover_end", failover.node_name, {"reason": said}):
            self._store.save_vms(right, failover.id, [left_behind(vm, failover.node_name) for vm in waiting])
            self._store.advance(right, failover, "left", status="quarantined", reason="it has left the fleet", steps=[said])
        self._times.pop(failover.node, None)
        self._cancelling.pop(failover.id, None)
        return [said]

    def _cancel(self, right: Right, failover: Failover, node: FleetNode) -> list[str]:
        """End a failover whose node answers again. What ran there and has ended, perhaps because it was switched off, is started there.

        A node that has just been switched on may not have its storage yet, so this is tried for some minutes. If a person has confirmed
        that the node is off, it is tried once: the word of that person holds no longer.
        """
        self._store.check(right)
        self._nodes.change(node.id, status="up", reason="")  # otherwise it would take no VM
        since, wanted = self._cancelling.setdefault(failover.id, (self._clock(), self._ran(failover)))
        try:
            done, left = self._reboots.start_again(right, node, wanted)
        except (BusyError, StorageError):
            raise
        except NovaCronError as error:
            done, left = [], [f"it is not known whether its VMs run: {error}"]
        if left and not failover.confirmed_by and self._clock() - since < PATIENCE:
            reason = f"it answers again; left to do: {'; '.join(left)}"[:500]
            self._store.advance(right, failover, "fencing", status="fencing", reason=reason, steps=done)
            return [f"{node.name}: {reason}"]
        del self._cancelling[failover.id]
        self._times.pop(node.id, None)
        waited = [vm for vm in self._store.vms(failover.id) if vm.status == "pending"]
        self._store.save_vms(right, failover.id, [stays_home(vm, left) for vm in waited])
        said = "it answers again" if done or left else "it answers again; all its VMs still run"
        self._store.advance(right, failover, "cancelled", status="up", steps=[said, *done, *left])
        return [f"{node.name}: {'; '.join([said, *done, *left])}"]

    def _ran(self, failover: Failover) -> list[str]:
        """Return the VMs that ran on the node of a failover and may be started there again."""
        stored = self._store.protected()
        ran = [each.vm for each in self._allocations.list(failover.node) if each.active]
        taken = [each.vm for each in self._store.vms(failover.id)]
        return [vm for vm in dict.fromkeys(ran + taken) if vm in stored and NEVER_RESTARTED not in stored[vm].refusals]

    def _take_vms(self, right: Right, failover: Failover) -> None:
        """Store which VMs are restarted, and free what they took on the node that is off."""
        stored = self._store.protected()
        vms = []
        for each in self._allocations.list(failover.node):
            if not each.active or each.vm.startswith("claim:"):
                continue  # it did not run, or its creation never ended
            known = stored.get(each.vm)
            refusals = known.refusals if known is not None else ("its definition was not stored",)
            vms.append(
                RestartedVM(
                    vm=each.vm,
                    name=each.name,
                    status="refused" if refusals else "pending",
                    priority=known.priority if known is not None else 1,
                    reason="; ".join(refusals),
                    taker=taker_of_allocation(each),
                )
            )
        taken = self._store.take_vms(right, failover, vms)
        self._store.check(right)
        self._allocations.switched_off(failover.node, [vm.vm for vm in taken if vm.status != "refused"])

    def _restart(self, right: Right, failover: Failover, node: FleetNode, *, answers: bool) -> list[str]:
        """Start the VMs of a node that is off. If it answers, it was switched on again, or its devices belong to another machine."""
        times = self._times_of(node)
        with times.asking():
            seen, answers = self._look_around(node, answers=answers)
        if answers and node.id in seen.silent:  # it lives, and only it can tell whether they run
            return [f"{node.name} answers, but does not list its VMs; they may run there, so none is started elsewhere"]
        left = self._restarter.restart(right, failover, seen)
        vms = self._store.vms(failover.id)
        running = sum(vm.status == "running" for vm in vms)
        if not left:
            refused = sum(vm.status in ("refused", "failed") for vm in vms)
            step = f"{running} VMs were restarted" + (f", {refused} were not" if refused else "")
            reason, took = "it is off; its VMs run elsewhere", str(self._times.pop(node.id))
            self._store.advance(right, failover, "done", status="fenced", reason=reason, steps=[step, took])
            return [f"{node.name}: {step}; {took}"]
        said = f"{node.name}: {running} of {len(vms)} VMs are restarted, {left} wait"
        if node.id not in seen.silent:
            return [said, *self._go_home(right, failover, node, vms, seen)]
        return [said]

    def _look_around(self, node: FleetNode, *, answers: bool) -> tuple[Seen, bool]:
        """Ask all hosts for their VMs. Returns what they report, and whether the node that is off answers nevertheless.

        Its fence device may belong to another machine, and the network may have returned while it was read. So the node is asked once
        more before anything starts elsewhere. A node that is off does not answer, so this is done while the other hosts are asked.
        """
        if not answers:
            both: tuple[Callable[[], Any], ...] = (
                lambda: self._places.besides(node.hosts),
                lambda: self._presences.now(node, LAST_LOOK),
            )
            others, presence = fan_out(both, lambda ask: ask(), seconds=None, limit=2, name="novacron-last-look")
            if presence.result() == "silent":
                return others.result(), False
        return self._places.besides(()), True

    def _go_home(self, right: Right, failover: Failover, node: FleetNode, vms: Sequence[RestartedVM], seen: Seen) -> list[str]:
        """Start VMs that no other node can take on their own node, which answers again: first it is cleaned, then it is used again.

        From then on the node does not count as off any more. If it falls silent before its VMs run, it is fenced anew.
        """
        waiting = [vm for vm in vms if vm.status in ("pending", "placed")]
        stopped = {vm for vm, found in seen.vms.items() if any(each.host in node.hosts for each in found)}
        if not all(vm.status == "pending" and vm.destination is None and vm.vm in stopped for vm in waiting):
            return []
        if not self._answers(node):
            return []
        settled = [vm for vm in vms if vm not in waiting]
        others = {vm: [each for each in found if each.host not in node.hosts] for vm, found in seen.vms.items()}
        done, left = cleaned(self._fleet.hosts[node.host], settled, others, lambda: self._store.check(right))
        if left:
            return [f"{node.name} has returned; left to do: {left[0]}"]
        steps = [*done, "it has returned, and its VMs that no other node can take are started there"]
        self._store.confirm(failover.id, "")  # what a person has said of its power holds no longer
        self._store.advance(right, failover, "fencing", status="fencing", reason="it has returned", steps=steps)
        return self._cancel(right, failover.replace(confirmed_by=""), node)

    def _times_of(self, node: FleetNode) -> Times:
        """Return how long the parts of a node's failover took. This process knows only of parts that it has done itself."""
        return self._times.setdefault(node.id, Times(self._clock))

    def _returned(self, right: Right, failover: Failover, node: FleetNode) -> list[str]:
        """Clean a node that answers again. It is used again when nothing is left on it that could become a second copy."""
        if failover.stage != "quarantined":
            self._store.advance(
                right, failover, "quarantined", status="quarantined", reason="it has returned", steps=["it has returned"]
            )
        host, vms = self._fleet.hosts[node.host], self._store.vms(failover.id)
        try:
            done, left = cleaned(host, vms, self._places.besides(node.hosts).vms, lambda: self._store.check(right))
        except (BusyError, StorageError):
            raise
        except NovaCronError as error:
            done, left = [], [str(error)]
        if left:
            self._store.advance(
                right, failover, "quarantined", status="quarantined", reason=f"left to do: {'; '.join(left)}"[:500], steps=done
            )
            return [f"{node.name} is quarantined: {left[0]}"]
        self._store.advance(right, failover, "ended", status="up", steps=[*done, "it is used again"])
        self._refresh([node.host])
        return [f"{node.name} has returned and is used again"]

    def _answers(self, node: FleetNode) -> bool:
        """Return whether a node itself answers now."""
        return self._presences.now(node) == "itself"


__all__ = ["AFTER", "GRACE", "TASK", "FailoverController"]
