"""Templates and their versions."""

import pytest

from novacron import DiskSpec, VMSpec, errors
from novacron.specs import TemplateSpec


def template_of(vm, name="golden", **fields):
    return vm.host.invoke("template_create", vm=vm.id, spec=TemplateSpec(name=name, **fields))


def deploy(host, name, *, linked=False, version=None, **fields):
    spec = VMSpec(name=name, **fields)
    return host.vms[host.invoke("template_deploy", template="golden", spec=spec, version=version, linked=linked).id]


def test_an_existing_name_gets_a_new_version(a, make):
    vm = make(a, disks=[{"size": "1GiB"}])
    assert [template_of(vm).version, template_of(vm).version] == [1, 2]
    assert [t.version for t in a.templates.list()] == [2]
    assert [t.version for t in a.invoke("template_versions", template="golden")] == [1, 2]
    changed = a.invoke("template_update", template="golden", description="new", tags=frozenset({"x"}))
    assert a.templates["golden"] == changed
    with pytest.raises(errors.TemplateNotFoundError):
        a.invoke("template_get", template="golden", version=3)
    with pytest.raises(errors.InvalidStateError):
        template_of(vm.start())


def test_a_sealed_template_lacks_what_must_differ(a, make):
    vm = make(a, start=True)
    for path in ("/etc/machine-id", "/etc/motd"):
        a.invoke("guest_file_write", vm=vm.id, path=path, data=b"x")
    template_of(vm.stop())
    copy = deploy(a, "copy", start=True)
    assert a.invoke("guest_file_read", vm=copy.id, path="/etc/motd") == b"x"
    with pytest.raises(errors.GuestAgentError):
        a.invoke("guest_file_read", vm=copy.id, path="/etc/machine-id")


def test_what_is_deployed_takes_what_is_given_and_the_rest_from_the_template(a, make):
    vm = make(a, disks=[{"size": "1GiB"}], vcpus=3, tags=["web"], nics=[{"network": "default"}])
    template_of(vm)
    copy = deploy(a, "copy", memory="2GiB", disks=[DiskSpec(size="3GiB")])
    assert (copy.record.vcpus, copy.record.memory_bytes, copy.tags) == (3, 2**31, {"web"})
    assert [d.size_bytes for d in copy.record.disks] == [2**30, 3 * 2**30]
    assert copy.delete().kept == ()


def test_a_template_with_linked_vms_is_not_deleted(a, make, volumes):
    template_of(make(a, disks=[{"size": "1GiB"}]))
    copy = deploy(a, "copy", linked=True)
    delete = lambda: a.invoke("template_delete", template="golden", version=None)  # noqa: E731
    with pytest.raises(errors.InvalidStateError):
        delete()
    copy.delete()
    assert delete().removed == ("/sim/default/template-golden-v1-vda.qcow2",)
    assert (a.templates.list(), volumes(a)) == ([], ["web1-vda.qcow2"])
