"""A lab on a real host: applied twice, changed in place, described and destroyed."""

import json
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.labs import Lab, describe
from novacron.testing.lab_changes import ALONE, LabChange, applies, changed_lab, changes_in
from novacron_shell.cli import cli

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]


def test_a_lab_is_applied_changed_described_and_destroyed(lab_hosts, tmp_path):
    uri = lab_hosts[0].uri
    content = {
        "name": "e2e-lab",
        "pools": {"e2e-lab-pool": {"type": "dir", "path": "/var/lib/libvirt/e2e-lab-pool"}},
        "volumes": {"e2e-lab-data": {"pool": "e2e-lab-pool", "capacity": "16MiB"}},
        "networks": {
            "e2e-lab-lan": {"type": "isolated", "cidr": "10.77.3.1/24", "dhcp_start": "10.77.3.10", "dhcp_end": "10.77.3.20"}
        },
        "vms": {
            "e2e-lab-vm": {
                "count": 2,
                "memory": "128MiB",
                "machine": "q35",
                "watchdog": "reset",
                "display": {"type": "vnc"},
                "disks": [{"size": "16MiB", "pool": "e2e-lab-pool"}],
                "nics": [{"network": "e2e-lab-lan"}],
            }
        },
    }
    file = tmp_path / "lab.yaml"

    def novacron(*arguments, code=0):
        file.write_text(json.dumps(content))
        done = CliRunner().invoke(cli, ["-c", uri, *arguments, "-f", str(file)])
        assert done.exit_code == code, (done.output, done.exception)
        return done

    with api.connect(uri, name="e2e-labs") as host:
        try:
            assert "done" in novacron("apply").stderr
            assert "no change" in novacron("apply").stderr
            vms = content["vms"]["e2e-lab-vm"]
            vms |= {"watchdog": "poweroff", "memory": "160MiB", "disks": [{"size": "32MiB", "pool": "e2e-lab-pool"}]}
            content["networks"]["e2e-lab-lan"]["dhcp_end"] = "10.77.3.30"
            novacron("diff", "--exit-code", code=1)
            novacron("apply")
            novacron("diff", "--exit-code")
            vm = host.vms["e2e-lab-vm-2"]
            assert (vm.configuration().fields["watchdog"], vm.record.memory_bytes) == ("poweroff", 160 * 2**20)
            assert vm.record.disks[0].size_bytes == 32 * 2**20
            described = describe(host, [host.vms["e2e-lab-vm-1"], vm], name="again")
            assert [str(action) for action in Lab.parse(json.loads(json.dumps(described))).plan(host)] == []
        finally:
            novacron("destroy", "--yes")
        assert not [vm.name for vm in host.vms if vm.name.startswith("e2e-lab")]
        assert "e2e-lab-lan" not in host.networks
        assert "e2e-lab-pool" not in host.pools


DEPENDS_ON_THE_HOST = (
    LabChange("vms.web.memory", "160MiB", "at once"),  # the VM has no guest, and so no balloon driver
    LabChange("vms.web.features", {"hyperv": True}, "next start"),  # emulation has no Hyper-V features
    LabChange("vms.web.nics.0.inbound_bytes_per_second", 1024000, "at once"),  # the kernel may have no traffic shaping
)
"""Changes that are planned here, but that not every host can make."""


def test_each_change_of_the_table_in_the_docs_applies_when_it_says(lab_hosts, sample):
    """Then all changes that are made in place are made in one apply, and a second one finds nothing to do."""
    table = changes_in(Path(__file__).parents[2] / "docs" / "lab-changes.md")
    with api.connect(lab_hosts[0].uri, name="e2e-changes") as host:

        def plan(*changes):
            return Lab.parse(changed_lab(*changes)).plan(host)

        try:
            plan().apply()
            found = [(change, applies(plan(change))) for change in random.sample(table, sample(8, len(table)))]
            assert [(change, when) for change, when in found if when != change.applies] == []
            made = [change for change in table if change.applies in ("at once", "next start")]
            made = [change for change in made if change not in DEPENDS_ON_THE_HOST and change.path not in ALONE]
            plan(*made).apply()
            assert [str(action) for action in plan(*made)] == []
            assert host.vms["web"].configuration().fields["watchdog"] == "reset"
        finally:
            Lab.parse({"name": "changes"}).plan(host, destroy=True).apply()
