"""Every native operation, on a vCenter and on a single ESXi: bad names are refused as such, and never a defect of the driver."""

from __future__ import annotations

import io
from contextlib import suppress

import pytest

import novacron
from novacron import errors
from novacron.plugins.native import native_operations
from novacron_vmware.plugin import areas

OPERATIONS = native_operations(areas())
VALUES = {"int": 1, "float": 1.0, "bool": True, "dict[str, str]": {"a": "b"}}
STREAMS = {"vsphere.task_follow"}


def arguments(operation, text):
    """A value for each argument that has no default."""
    given = {}
    for name in operation.arguments:
        declared = operation.types[name]
        if name == "job" or name in operation.defaults:
            continue
        if declared.startswith("Literal["):
            given[name] = declared[9:].split("'")[0].split('"')[0] or "on"
        elif declared.startswith("tuple["):
            given[name] = (text,)
        elif declared == "BinaryIO":
            given[name] = io.BytesIO(b"data")
        else:
            given[name] = VALUES.get(declared, text)
    return given


@pytest.fixture(scope="module")
def alone(esxi):
    with novacron.connect(esxi.uri("esx"), name="esxi", password=esxi.password) as host:
        yield host


@pytest.fixture(params=["host", "alone"])
def either(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("text", ["no such thing", "vm-99999", "[no] such/thing.vmx", "%"])
def test_names_of_nothing_are_refused(either, text):
    """No operation reports a defect, and nothing is made: what creates something gets a place that does not exist."""
    creating = {
        "vsphere.role_create",
        "vsphere.setting_set",
        "vsphere.customization_create",
        "vsphere.library_create",
        "vsphere.switch_create",
        "vsphere.datacenter_create",
        "vsphere.folder_create",
        "vsphere.customization_create_windows",
        "vsphere.customization_create_cloudinit",
        "vsphere.log_bundle",
    }
    for operation in OPERATIONS:
        given = arguments(operation, text)
        if not given or operation.name in creating:
            continue
        with pytest.raises(errors.NovaCronError) as caught:
            either.invoke(operation.name, **given)
        assert "defect" not in (caught.value.hint or ""), f"{operation.name}: {caught.value}"


def test_what_needs_no_argument_answers_or_is_said_to_be_missing(either):
    for operation in OPERATIONS:
        if arguments(operation, "x") or operation.name in STREAMS:
            continue
        allowed = (errors.UnsupportedOperationError,) if either.name == "esxi" else ()
        with suppress(*allowed):
            assert either.invoke(operation.name) is not None


def test_control_characters_never_reach_the_server(host):
    for operation in OPERATIONS:
        given = arguments(operation, "a\x1b[2Jb")
        if any("\x1b" in part for value in given.values() if isinstance(value, (str, tuple)) for part in value):
            with pytest.raises(errors.InvalidSpecError):
                host.invoke(operation.name, **given)
