"""vCPUs and memory of a definition change with its topology and NUMA cells; on its own each would be refused by libvirt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novacron_kvm.xml.resources import numbers, ranges, set_memory, set_vcpus, size

MIB = 2**20


def definition(vcpus=4, topology="", cells="", extra="", memory=1024):
    cpu = f"<cpu>{topology}<numa>{cells}</numa></cpu>" if cells else f"<cpu>{topology}</cpu>"
    return etree.fromstring(
        f"<domain><memory unit='MiB'>{memory}</memory><currentMemory unit='MiB'>{memory}</currentMemory><vcpu>{vcpus}</vcpu>{extra}{cpu}"
        "<devices/></domain>"
    )


TOPOLOGY = "<topology sockets='1' dies='1' cores='2' threads='2'/>"
CELLS = "<cell id='0' cpus='0-2' memory='768' unit='MiB'/><cell id='1' cpus='3' memory='256' unit='MiB'/>"


@pytest.mark.parametrize(("count", "sockets", "most"), [(1, 1, 4), (4, 1, 4), (5, 2, 8), (8, 2, 8), (9, 3, 12)])
def test_whole_sockets_are_added(count, sockets, most):
    root = definition(topology=TOPOLOGY)
    set_vcpus(root, count)
    vcpu = root.find("vcpu")
    assert (vcpu.text, root.find("cpu/topology").get("sockets")) == (str(most), str(sockets))
    assert vcpu.get("current", vcpu.text) == str(count)
    assert root.find("cpu/topology").get("cores") == "2"


def test_cells_take_new_vcpus_and_keep_theirs():
    root = definition(cells=CELLS)
    set_vcpus(root, 7)
    assert [cell.get("cpus") for cell in root.iterfind("cpu/numa/cell")] == ["0-2,6", "3-5"]
    set_vcpus(root, 3)
    assert [cell.get("cpus") for cell in root.iterfind("cpu/numa/cell")] == ["0-2", None]


def test_memory_is_shared_in_the_same_proportions():
    root = definition(cells=CELLS)
    set_memory(root, 4096 * MIB)
    assert [int(cell.get("memory")) for cell in root.iterfind("cpu/numa/cell")] == [3072 * 1024, 1024 * 1024]
    assert size(root.find("memory")) == size(root.find("currentMemory")) == 4096 * MIB


def test_pins_of_vcpus_that_are_gone_go_too():
    root = definition(extra="<cputune><vcpupin vcpu='0' cpuset='90'/><vcpupin vcpu='3' cpuset='1'/></cputune>")
    set_vcpus(root, 2)
    assert [pin.get("vcpu") for pin in root.iterfind("cputune/vcpupin")] == ["0"]


@given(cells=st.lists(st.integers(1, 64), min_size=1, max_size=4), vcpus=st.integers(1, 32), mib=st.integers(16, 2**20))
def test_cells_have_all_of_it_together(cells, vcpus, mib):
    text = "".join(f"<cell id='{n}' cpus='{n}' memory='{m}' unit='MiB'/>" for n, m in enumerate(cells))
    root = definition(vcpus=len(cells), cells=text, memory=sum(cells))
    set_vcpus(root, vcpus)
    set_memory(root, mib * MIB)
    there = root.findall("cpu/numa/cell")
    assert sum(int(cell.get("memory")) * {"KiB": 1024, "MiB": MIB}[cell.get("unit")] for cell in there) == mib * MIB
    placed = [number for cell in there for number in numbers(cell.get("cpus", ""))]
    assert sorted(placed) == list(range(vcpus))


@given(st.sets(st.integers(0, 4096), max_size=20))
def test_lists_of_numbers_are_read_as_they_are_written(given_numbers):
    assert numbers(ranges(given_numbers)) == given_numbers
