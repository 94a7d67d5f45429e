"""How long the 1,000 VMs of a simulated host take to run again elsewhere, measured against a loop that only defines and starts them."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "core" / "tests" / "fleets"))
from failover_rack import Rack

pytestmark = pytest.mark.benchmark
VMS = 1000


def test_a_thousand_vms_are_restarted_within_a_minute(tmp_path, record_property):
    rack = Rack(tmp_path, "abcd", vcpus_ratio=64)
    try:
        host = rack.site.fleet.hosts["a"]
        for number in range(VMS):
            host.vms.create(name=f"vm{number}", memory="64MiB", start=True)
        controller = rack.controller()
        rack.rounds(controller, 3)
        bare = time.perf_counter()
        for vm in list(host.vms.list())[:50]:
            rack.site.fleet.hosts["b"].vms.import_definition(
                vm.export().text.replace(vm.id, vm.id[::-1]).replace(vm.name, f"x{vm.name}")
            )
        bare = (time.perf_counter() - bare) / 50 * VMS
        rack.machines["a"].crash()
        began, rounds = time.perf_counter(), 0
        while not any(each.stage == "done" for each in rack.site.fleet.failover.list()):
            rack.rounds(controller, 1)
            rounds += 1
            assert rounds < 20
        seconds = time.perf_counter() - began
        record_property("seconds", round(seconds, 1))
        record_property("seconds_to_define_alone", round(bare, 1))
        print(f"{seconds:.1f} s, to define alone {bare:.1f} s")
        assert sum(len(rack.running[name]) for name in "bcd") == VMS
        assert seconds < 60
    finally:
        rack.close()
