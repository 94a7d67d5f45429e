"""A volume that vanishes during an operation is busy; one that was never there is not found."""

import libvirt
import pytest
from lxml import etree

from novacron import errors
from novacron_kvm.storage.copies import volume_of
from novacron_kvm.storage.volume_files import existing_volume, volume_record
from novacron_kvm.xml.storage import volume_xml


@pytest.fixture
def connection():
    opened = libvirt.open("test:///default")
    yield opened
    opened.close()


@pytest.fixture
def pool(connection):
    return connection.storagePoolLookupByName("default-pool")


@pytest.mark.parametrize(
    "use", [lambda volume: volume.info(), lambda volume: volume_record("h", volume)], ids=["libvirt", "record"]
)
def test_a_volume_that_is_made_anew_meanwhile_is_busy(connection, pool, use):
    pool.createXML(volume_xml("anew.raw", 2**20, "raw", None), 0)

    def operation():
        with existing_volume(connection, pool.name(), "anew.raw") as found:
            pool.storageVolLookupByName("anew.raw").delete(0)
            use(found)

    with pytest.raises(errors.BusyError, match=r"anew\.raw.*made anew"):
        operation()


def test_a_volume_that_was_never_there_is_not_found(connection, pool):
    with pytest.raises(errors.VolumeNotFoundError), existing_volume(connection, pool.name(), "never.raw"):
        pytest.fail("it was found")


def test_another_volume_that_is_not_there_does_not_make_this_one_busy(connection, pool):
    pool.createXML(volume_xml("there.raw", 2**20, "raw", None), 0)
    with pytest.raises(errors.VolumeNotFoundError), existing_volume(connection, pool.name(), "there.raw"):
        raise errors.VolumeNotFoundError("no volume 'below.raw'", resource="below.raw")
    pool.storageVolLookupByName("there.raw").delete(0)


@pytest.mark.parametrize(
    ("of", "error"), [("default-pool", errors.VolumeNotFoundError), ("no-pool", errors.StoragePoolNotFoundError)]
)
def test_a_disk_that_names_a_missing_volume_is_told_so(connection, of, error):
    disk = etree.fromstring(f"<disk type='volume'><source pool='{of}' volume='never.raw'/><target dev='vda'/></disk>")
    with pytest.raises(error):
        volume_of(connection, disk)
