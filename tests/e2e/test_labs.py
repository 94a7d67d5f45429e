"""A lab on a real host: applied twice, changed in place, described and destroyed."""

import json

import pytest
from click.testing import CliRunner

import novacron as api
from novacron.labs import Lab, describe
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
