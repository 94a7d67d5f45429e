"""Definitions of storage pools, volumes and secrets: valid against libvirt's schemas for every spec."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novacron.errors import InvalidSpecError
from novacron.specs import StoragePoolSpec
from novacron.specs.pools import NEEDED
from novacron_kvm.xml.storage import pool_xml, secret_identity, secret_xml, volume_xml

SCHEMAS = Path("/usr/share/libvirt/schemas")
names = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_.+-]{0,20}\Z")
paths = st.from_regex(r"\A/[A-Za-z0-9_. &<>'\"-]{1,20}\Z")
device_paths = st.from_regex(r"\A/[A-Za-z0-9_.+-]{1,20}\Z")  # libvirt's own schema allows no others
hosts = st.sampled_from(["storage.example.org", "192.0.2.1"])


@pytest.fixture(scope="module")
def valid():
    schemas = {name: etree.RelaxNG(etree.parse(SCHEMAS / f"{name}.rng")) for name in ("storagepool", "storagevol", "secret")}
    return lambda name, text: schemas[name].assertValid(etree.fromstring(text))


@given(data=st.data())
def test_every_pool_is_valid(valid, data):
    kind = data.draw(st.sampled_from([*NEEDED]))
    values = {"source_host": hosts, "source_name": names}
    values["source_path"] = st.just("iqn.2026-01.org.example:disks") if kind == "iscsi" else device_paths
    fields = {name: data.draw(values[name]) for name in NEEDED[kind] if name != "path"}
    if "path" in NEEDED[kind] or kind == "dir":
        fields["path"] = data.draw(device_paths)
    spec = StoragePoolSpec(name=data.draw(names), type=kind, **fields)
    text = pool_xml(spec)
    valid("storagepool", text)
    root = etree.fromstring(text)
    assert (root.get("type"), root.findtext("name"), root.findtext("target/path")) == (kind, spec.name, spec.path)


@given(
    name=names,
    capacity=st.integers(1, 2**60),
    format_=st.sampled_from(["qcow2", "raw", "vmdk"]),
    below=st.none() | paths,
    full=st.booleans(),
    encrypted=st.booleans(),
)
def test_every_volume_and_its_secret_is_valid(valid, name, capacity, format_, below, full, encrypted):
    path = f"/pool/{name}"
    secret = secret_identity(path) if encrypted else None
    text = volume_xml(name, capacity, format_, (below, "raw") if below else None, preallocate=full, secret=secret)
    valid("storagevol", text)
    root = etree.fromstring(text)
    assert root.findtext("backingStore/path") == below
    assert (root.find("target/encryption") is not None) == encrypted
    valid("secret", secret_xml(path, name))


@pytest.mark.parametrize("kind", [kind for kind in NEEDED if kind != "dir"])
def test_a_pool_that_lacks_something_is_refused_with_its_names(kind):
    with pytest.raises(InvalidSpecError) as caught:
        StoragePoolSpec(name="a", type=kind)
    assert all(field in str(caught.value) for field in NEEDED[kind])
