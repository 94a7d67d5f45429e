"""Content libraries; govc is the witness."""

from __future__ import annotations

import json
import tarfile

import pytest

from novacron import DiskSpec, VMSpec, errors


@pytest.fixture(scope="module")
def library(host):
    made = host.native.library_create("isos and more", pool="LocalDS_1", description="for tests")
    yield made
    host.native.library_delete(made.id)


def test_libraries_are_created_listed_and_deleted(host, govc):
    made = host.native.library_create("short", pool="LocalDS_0")
    assert (made.kind, made.datastore) == ("local", "LocalDS_0")
    assert "/short" in govc.lines("library.ls")
    assert made in host.native.library_list()
    with pytest.raises(errors.AlreadyExistsError):
        host.native.library_create("short")
    host.native.library_delete("short")
    assert "/short" not in govc.lines("library.ls")
    with pytest.raises(errors.NotFoundError, match="short"):
        host.native.library_items("short")


def test_an_iso_is_imported_and_removed(host, govc, library, tmp_path):
    (tmp_path / "a.iso").write_bytes(bytes(range(256)) * 8192)
    made = host.native.library_import(library.name, "boot", (str(tmp_path / "a.iso"),))
    assert (made.name, made.kind) == ("boot", "iso")
    assert f"/{library.name}/boot/a.iso" in govc.lines("library.ls", f"/{library.name}/boot/*")
    assert [item.name for item in host.native.library_items(library.id)] == ["boot"]
    with pytest.raises(errors.AlreadyExistsError):
        host.native.library_import(library.name, "boot", (str(tmp_path / "a.iso"),))
    with pytest.raises(errors.InvalidSpecError):
        host.native.library_import(library.name, "none", (str(tmp_path / "none.iso"),))
    host.native.library_remove(library.name, "boot")
    assert host.native.library_items(library.name) == []


def test_an_ovf_is_deployed(host, govc, library, tmp_path):
    """One that NovaCron has exported; a name that is taken is refused before the server is asked."""
    vm = host.vms.create(VMSpec(name="origin", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
    vm.export_appliance(tmp_path / "origin.ova")
    with tarfile.open(tmp_path / "origin.ova") as archive:
        archive.extractall(tmp_path, filter="data")
    files = tuple(str(file) for file in tmp_path.iterdir() if file.suffix in (".ovf", ".vmdk"))
    host.native.library_import(library.name, "web", files)
    made = host.native.library_deploy(library.name, "web", "deployed")
    assert made.name == "deployed"
    assert "/DC0/vm/deployed" in govc.lines("find", "/DC0/vm", "-type", "m")
    with pytest.raises(errors.AlreadyExistsError):
        host.native.library_deploy(library.name, "web", "deployed")
    assert json.loads(govc("library.info", "-json", f"/{library.name}/web"))[0]["type"] == "ovf"
    for each in ("deployed", "origin"):
        host.vms[each].delete()


def test_an_esxi_has_no_libraries(esxi):
    import novacron

    with novacron.connect(esxi.uri("esx"), password=esxi.password) as host, pytest.raises(errors.UnsupportedOperationError):
        host.native.library_list()
