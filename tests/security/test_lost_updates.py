"""Two processes change one thing at the same time; no change of either is lost."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

CHANGER = """
import sys
import novacron
state, uri, what, times = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
lost = 0
with novacron.Site(state) as site:
    host = site.connect(uri)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(times):
        if what == "domain":
            lost += host.networks.update("contended", domain=f"d{number}.example").domain != f"d{number}.example"
            lost += host.networks["contended"].domain != f"d{number}.example"
        elif what == "dns":
            wanted = [{"address": "192.168.211.9", "names": [f"n{number}.example"]}]
            host.networks.update("contended", dns_hosts=wanted)
            lost += host.networks["contended"].dns_hosts[0]["names"] != [f"n{number}.example"]
        elif what == "tags":
            host.templates.update("contended", tags=[f"t{number}"])
            lost += host.templates.versions("contended")[-1].tags != {f"t{number}"}
        elif what == "description":
            host.templates.update("contended", description=f"d{number}")
            lost += host.templates.versions("contended")[-1].description != f"d{number}"
print(lost)
"""


def changed(state, uri, *kinds, times: int = 12) -> list[int]:
    """Let one process for each kind of change change the thing, and return how many changes each lost."""
    words = [sys.executable, "-c", CHANGER, str(state), uri]
    processes = [
        subprocess.Popen([*words, kind, str(times)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for kind in kinds
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    return [int(process.communicate(timeout=120)[0]) for process in processes]


def test_no_change_of_a_network_is_lost(lab, lab_hosts, tmp_path):
    host = lab_hosts[0]
    host.networks.create(name="contended", type="isolated", cidr="192.168.211.1/24", autostart=False)
    try:
        host.networks.stop("contended")
        assert changed(tmp_path / "state", lab.hosts[0].uri, "domain", "dns") == [0, 0]
    finally:
        host.networks.delete("contended")


def test_no_change_of_a_template_is_lost_and_no_version_is_replaced(lab, lab_hosts, boot, tmp_path):
    host = lab_hosts[0]
    vm = boot(host, "template-original", ticks=0, start=False, disks=[{"size": "1MiB"}])
    host.templates.create(vm.name, "contended", seal=False)
    try:
        assert changed(tmp_path / "state", lab.hosts[0].uri, "tags", "description", times=6) == [0, 0]
    finally:
        host.templates.delete("contended")
