"""How long a guest of a real host that fails does not run, with the defaults of `novacron fleet failover run`."""

import os
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from failover_lab import Copies, with_bmcs

from novacron import Site

pytestmark = [pytest.mark.benchmark, pytest.mark.lab]
GOAL = 45.0


@pytest.mark.parametrize("failure", ["link cut", "processes killed"])
def test_a_guest_runs_again_within_45_seconds(lab, lab_hosts, lab_bmc, boot, tmp_path, record_property, failure):
    vm, failed = boot(lab_hosts[0], "survivor", ticks=2), lab.hosts[0]
    with Site(tmp_path / "state") as site:
        fleet, stop, said = site.fleet, threading.Event(), []
        with_bmcs(fleet, lab, lab_bmc)
        controller = fleet.failover.controller()
        controller.round()
        worker = threading.Thread(target=controller.run, args=(stop,), kwargs={"say": said.append})
        try:
            with Copies(vm.id) as copies:
                worker.start()
                began = time.monotonic()
                if failure == "link cut":
                    failed.cut_management("both ways")
                else:
                    for pid in (*copies.now(), failed.daemon_pid):
                        os.kill(pid, 9)
                while not any("were restarted" in text for text in said):
                    assert time.monotonic() - began < 10 * GOAL, said
                    time.sleep(0.1)
                defined = time.monotonic() - began
                vm.console.wait_for_more_ticks(120)
                seconds = time.monotonic() - began
                assert copies.most == 1
            record_property("seconds", round(seconds, 1))
            print(f"{failure}: {seconds:.1f} s, started after {defined:.1f} s; {fleet.failover[failed.name].steps[-1]}")
            assert seconds < GOAL
        finally:
            failed.mend_management()
            failed.power_on()
            while not stop.is_set() and any(node.status != "up" for node in fleet.nodes):
                time.sleep(0.5)
                if time.monotonic() - began > 10 * GOAL:
                    break
            stop.set()
            worker.join()
