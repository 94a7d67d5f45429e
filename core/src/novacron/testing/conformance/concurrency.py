"""Many concurrent operations."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from novacron.errors import InvalidStateError, NovaCronError
from novacron.handles.host import HostHandle
from novacron.handles.vm import VMHandle
from novacron.testing.conformance.case import Conformance, Create

READERS = 4


class TestConcurrency(Conformance):
    """Several threads use one connection."""

    def test_reads_go_on_while_a_vm_changes(self, host: HostHandle, vm: VMHandle, prefix: str) -> None:
        """Each read succeeds, and returns a state that the VM had."""
        ended = threading.Event()

        def read() -> set[str]:
            seen = set[str]()
            while not ended.is_set():
                seen.add(host.vms[vm.id].status)
                seen |= {listed.status for listed in host.vms.list(name=f"{prefix}*")}
            return seen

        with ThreadPoolExecutor(READERS) as pool:
            readers = [pool.submit(read) for _ in range(READERS)]
            try:
                for _ in range(3):
                    vm.start()
                    vm.stop()
            finally:
                ended.set()
            seen = set().union(*(reader.result(60) for reader in readers))
        assert seen <= {"stopped", "running", "stopping"}

    def test_of_many_starts_one_wins(self, host: HostHandle, vm: VMHandle) -> None:
        """Of several concurrent starts one succeeds; the others are told that the VM runs."""

        def start(_: int) -> NovaCronError | None:
            try:
                host.invoke("vm_start", vm=vm.id)
            except NovaCronError as error:
                return error
            return None

        with ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(start, range(READERS)))
        assert answers.count(None) == 1
        assert all(isinstance(answer, InvalidStateError) for answer in answers if answer is not None)
        assert host.vms[vm.id].status == "running"

    def test_vms_are_created_and_deleted_side_by_side(self, host: HostHandle, create: Create, prefix: str) -> None:
        """Each VM exists once after the creations, and none after the deletions."""
        names = [f"{prefix}-side-{number}" for number in range(READERS)]
        with ThreadPoolExecutor(READERS) as pool:
            made = list(pool.map(create, names))
            assert [vm.name for vm in made] == names
            assert {vm.name for vm in host.vms.list(name=f"{prefix}-side-*")} == set(names)
            list(pool.map(VMHandle.delete, made))
        assert host.vms.list(name=f"{prefix}-side-*").total == 0

    def test_of_many_creations_of_one_name_one_wins(self, host: HostHandle, create: Create, prefix: str) -> None:
        """Of several concurrent creations with one name only one succeeds."""

        def make(_: int) -> NovaCronError | None:
            try:
                create(prefix)
            except NovaCronError as error:
                return error
            return None

        with ThreadPoolExecutor(READERS) as pool:
            answers = list(pool.map(make, range(READERS)))
        assert answers.count(None) == 1
        assert host.vms.list(name=prefix).total == 1


__all__ = ["TestConcurrency"]
