"""Pre-checks of a migration that need no second host."""

from novacron_kvm.migration.prechecks import pinning_problems
from novacron_kvm.xml.parsing import parse


def test_pins_to_cpus_that_the_destination_has_not_are_named():
    pins = "<vcpupin vcpu='0' cpuset='0-3'/><vcpupin vcpu='1' cpuset='^1,4'/><emulatorpin cpuset='62-63'/><shares>512</shares>"
    definition = parse(f"<domain><name>web1</name><cputune>{pins}</cputune></domain>")
    assert list(pinning_problems(definition, 8, "kvm2")) == ["it is pinned to the CPUs 62-63, and kvm2 has 8"]
    assert len(list(pinning_problems(definition, 4, "kvm2"))) == 2
    assert list(pinning_problems(definition, 64, "kvm2")) == []
