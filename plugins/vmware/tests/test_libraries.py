"""Content libraries; govc is the witness."""

from __future__ import annotations

import json
import tarfile

import pytest

from novacron import DiskSpec, VMSpec, errors


@pytest.fixture
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


def test_a_template_is_stored_checked_out_and_checked_in(host, govc, library):
    """As govc does it; the simulator leaves what is checked out a template, which vSphere does not."""
    source = host.vms.create(VMSpec(name="golden", memory="64MiB", disks=[DiskSpec(size="1MiB")]))
    made = host.native.library_store("golden", library.name, "golden item")
    assert (made.kind, made.library) == ("vm-template", library.name)
    assert f"/{library.name}/golden item" in govc.lines("library.ls", f"/{library.name}/*")
    with pytest.raises(errors.AlreadyExistsError):
        host.native.library_store("golden", library.name, "golden item")
    out = host.native.library_checkout(library.name, "golden item", "to be patched")
    govc("library.checkout", "-pool", "DC0_C0/Resources", f"/{library.name}/golden item", "govc's")
    ours, theirs = (f"/DC0/vm/{name}" for name in ("to be patched", "govc's"))
    assert {ours, theirs} <= set(govc.lines("find", "/DC0/vm", "-type", "m"))
    assert [govc.json("vm.info", path)["virtualMachines"][0]["config"]["hardware"]["memoryMB"] for path in (ours, theirs)] == [
        64,
        64,
    ]
    assert out.memory_bytes == source.record.memory_bytes
    with pytest.raises(errors.AlreadyExistsError):
        host.native.library_checkout(library.name, "golden item", "to be patched")
    for path in (ours, theirs):
        govc("vm.markasvm", "-pool", "DC0_C0/Resources", path)
    host.vms["to be patched"].start()
    with pytest.raises(errors.InvalidStateError, match="not stopped"):
        host.native.library_checkin(library.name, "golden item", "to be patched")
    host.vms["to be patched"].stop()
    version = host.native.library_checkin(library.name, "golden item", "to be patched", message="patched")
    assert (version.item, version.library) == ("golden item", library.name)
    said = govc("library.checkin", "-vm", theirs, "-m", "patched", f"/{library.name}/golden item")
    assert said.endswith(f"checked in as content version {version.version}")
    host.native.library_remove(library.name, "golden item")
    for name in ("to be patched", "govc's", "golden"):
        host.vms[name].delete()


def test_only_templates_are_checked_out(host, library, tmp_path):
    (tmp_path / "b.iso").write_bytes(b"iso")
    host.native.library_import(library.name, "boot", (str(tmp_path / "b.iso"),))
    with pytest.raises(errors.InvalidStateError, match="not a VM template"):
        host.native.library_checkout(library.name, "boot", "none")
    host.native.library_remove(library.name, "boot")


OVF = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
  xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
  xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References/>
  <NetworkSection><Info>Networks</Info><Network ovf:name="inside"/></NetworkSection>
  <DeploymentOptionSection><Info>Sizes</Info>
    <Configuration ovf:id="small" ovf:default="true"><Label>Small</Label><Description>one</Description></Configuration>
    <Configuration ovf:id="large"><Label>Large</Label><Description>four</Description></Configuration>
  </DeploymentOptionSection>
  <VirtualSystem ovf:id="shop"><Info>A shop</Info>
    <ProductSection><Info>Settings</Info><Product>Shop</Product>
      <Property ovf:key="hostname" ovf:type="string" ovf:userConfigurable="true" ovf:value="none"/>
    </ProductSection>
    <VirtualHardwareSection ovf:transport="com.vmware.guestInfo"><Info>Hardware</Info>
      <System><vssd:ElementName>shop</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemType>vmx-19</vssd:VirtualSystemType></System>
      <Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ElementName>memory</rasd:ElementName>
        <rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
      <Item ovf:configuration="small"><rasd:InstanceID>2</rasd:InstanceID><rasd:ElementName>1 CPU</rasd:ElementName>
        <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
      <Item ovf:configuration="large"><rasd:InstanceID>2</rasd:InstanceID><rasd:ElementName>4 CPUs</rasd:ElementName>
        <rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>4</rasd:VirtualQuantity></Item>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"""


def test_an_ovf_is_deployed_with_its_properties_option_and_networks(host, govc, library, tmp_path):
    """A VM that govc deploys with the same ones is the same."""
    (tmp_path / "shop.ovf").write_text(OVF)
    host.native.library_import(library.name, "shop", (str(tmp_path / "shop.ovf"),))
    host.native.library_deploy(
        library.name, "shop", "ours", properties={"hostname": "shop1"}, option="large", networks={"inside": "VM Network"}
    )
    options = {
        "PropertyMapping": [{"Key": "hostname", "Value": "shop1"}],
        "Deployment": "large",
        "NetworkMapping": [{"Name": "inside", "Network": "VM Network"}],
    }
    (tmp_path / "options.json").write_text(json.dumps(options))
    govc(
        "library.deploy",
        "-options",
        str(tmp_path / "options.json"),
        "-pool",
        "DC0_C0/Resources",
        f"/{library.name}/shop",
        "theirs",
    )

    def known(name):
        config = govc.json("vm.info", "-e", f"/DC0/vm/{name}")["virtualMachines"][0]["config"]
        properties = {each["id"]: each["value"] for each in (config.get("vAppConfig") or {}).get("property") or ()}
        return config["hardware"]["numCPU"], config["hardware"]["memoryMB"], properties

    assert known("ours") == known("theirs")
    assert known("ours")[0] == 4
    assert known("ours")[2] == {"hostname": "shop1"}
    with pytest.raises(errors.NetworkNotFoundError):
        host.native.library_deploy(library.name, "shop", "none", networks={"inside": "no such network"})
    for name in ("ours", "theirs"):
        host.vms[name].delete()
    host.native.library_remove(library.name, "shop")


def test_a_subscribed_library_is_synchronized(host, govc, library, tmp_path):
    """What the other library has got meanwhile is there then; a library that follows none is refused."""
    with pytest.raises(errors.InvalidStateError, match="follows no other"):
        host.native.library_sync(library.name)
    govc("library.create", "-ds", "LocalDS_0", "-pub", "published")
    published = govc.json("library.info", "/published")[0]["publish_info"]["publish_url"]
    made = host.native.library_create("followers", pool="LocalDS_1", subscribe=published)
    (tmp_path / "c.iso").write_bytes(b"iso" * 100)
    host.native.library_import("published", "late", (str(tmp_path / "c.iso"),))
    assert host.native.library_sync("followers") == made
    assert [item.name for item in host.native.library_items("followers")] == ["late"]
    assert "/followers/late" in govc.lines("library.ls", "/followers/*")
    for name in ("followers", "published"):
        host.native.library_delete(name)
