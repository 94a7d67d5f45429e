"""The CPU baseline of real hosts is the one that virsh computes."""

import pytest
from lxml import etree

from novacron import Site, errors

pytestmark = pytest.mark.lab


def witness(host, virt_type, tmp_path, *others):
    """Return model and features of the CPU that virsh computes for a host of the lab and descriptions of others."""
    file = tmp_path / "cpus.xml"
    file.write_text("\n".join([host.exec("virsh", "domcapabilities", "--virttype", virt_type).stdout, *others]))
    done = host.exec("virsh", "hypervisor-cpu-baseline", str(file), "--migratable", "--virttype", virt_type)
    assert done.returncode == 0, done.stderr
    found = etree.fromstring(done.stdout)
    names = {("-" if each.get("policy") == "disable" else "") + each.get("name") for each in found.iterfind("feature")}
    return found.findtext("model"), names


def test_the_cpu_baseline_of_a_group_is_the_one_of_virsh(lab, lab_hosts, tmp_path):
    first, second = lab_hosts
    own, virt_type = first.cpu_baseline(), first.capabilities().virt_type
    assert (own.model, set(own.features)) == witness(lab.hosts[0], virt_type, tmp_path)
    older = "<cpu><model>qemu64</model></cpu>"
    both = first.cpu_baseline([older])
    assert (both.model, set(both.features)) == witness(lab.hosts[0], virt_type, tmp_path, older)
    assert both != own
    vendor = {"AMD": "Intel"}.get(own.vendor, "AMD")
    with pytest.raises(errors.UnsupportedOperationError, match="no CPU in common"):
        first.cpu_baseline([f"<cpu><model>qemu64</model><vendor>{vendor}</vendor></cpu>"])
    with pytest.raises(errors.InvalidSpecError, match="no-such-cpu"):
        first.cpu_baseline(["<cpu><model>no-such-cpu</model></cpu>"])
    with Site(tmp_path / "state") as site:
        for host in lab.hosts:
            site.fleet.add(host.name, host.uri)
        site.fleet.nodes.refresh()
        for host in lab.hosts:
            site.fleet.nodes.set(host.name, group="lab")
        found = site.fleet.cpu_baseline("lab")
        assert (found.model, found.features) == (own.model, own.features)
        assert len(found.nodes) == 2
        site.fleet.add("other", "sim://baseline-other")
        site.fleet.nodes.refresh(["other"])
        site.fleet.nodes.set("other", group="lab")
        with pytest.raises(errors.InvalidSpecError, match="kvm and sim"):
            site.fleet.cpu_baseline("lab")
    preview = second.vms.preview(name="portable", cpu_model=found.model, cpu_features=found.features)
    assert found.model in preview.text
