"""Parsers of what others wrote end with a NovaCronError or a result, whatever they are given. The soak tries 10,000 inputs for each."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from novacron.appliances import vmdk
from novacron.appliances.archive import HEADERS_MOST, Archive
from novacron.appliances.ovf import ApplianceDisk, Description, read, written
from novacron.errors import InvalidSpecError, NovaCronError
from novacron.keys import MODIFIERS, combination, combinations_of
from novacron.labs import Lab
from novacron.labs.lab import KEYS
from novacron.monitoring.alerting.configuration import TOP, read_configuration
from novacron.monitoring.alerting.expressions import parse as parse_expression
from novacron.monitoring.remote_messages import RemoteMessages
from novacron.monitoring.sources import parse_exposition
from novacron.plugins.driver import HostURI
from novacron.records.series import Sample
from novacron.specs import VMSpec
from novacron.specs.devices import HostDeviceSpec
from novacron.units import parse_duration, parse_size
from novacron.urls import problem_of
from novacron.workflow.files import read_flow
from novacron.workflow.schedules import _problems

pytestmark = pytest.mark.timeout(6000 if os.environ.get("NOVACRON_SOAK") else 300)
MANY = settings(
    max_examples=10_000 if os.environ.get("NOVACRON_SOAK") else 60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
MIB = 2**20
OVF = written(Description(name="web1", vcpus=1, memory=MIB * 64, disks=(ApplianceDisk(file="a.vmdk", size=512, capacity=MIB),)))


def bounded(parse, *arguments):
    """Call a parser; its memory is limited, and so are its errors."""
    tracemalloc.start()
    try:
        parse(*arguments)
    except NovaCronError:
        pass
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 64 * MIB, f"{most} bytes"


def harmed(whole: bytes):
    """Return strategies for bytes of a good file with some of them changed, removed or repeated."""
    return st.builds(
        lambda at, cut, harm: whole[: at % len(whole)] + harm + whole[at % len(whole) + cut :],
        st.integers(0, 10**6),
        st.integers(0, 600),
        st.binary(max_size=40),
    )


URIS = st.text(max_size=60) | st.from_regex(
    r"[a-z+]{1,9}://([^ ]{0,9}@)?[^ ]{0,12}(:[0-9]{0,7})?/[^ ]{0,9}(\?[^ ]{0,9})?", fullmatch=True
)


@given(URIS)
@MANY
def test_uris(text):
    bounded(HostURI.parse, text)


@given(
    st.text(max_size=40) | st.from_regex(r"[-+]?[0-9.e_]{0,400} ?[A-Za-z/]{0,5}", fullmatch=True) | st.floats() | st.integers()
)
@MANY
def test_sizes_and_durations(value):
    bounded(parse_size, value)
    bounded(parse_duration, value)


@given(st.text(max_size=30) | st.lists(st.sampled_from([*MODIFIERS, "a", "f1", "del", "+", "", "é"]), max_size=9).map("-".join))
@MANY
def test_keys(text):
    bounded(combination, text)
    bounded(combinations_of, text)


@given(
    st.sampled_from(["pci", "usb", "mdev"]),
    st.text(max_size=30) | st.from_regex(r"[0-9a-fA-F:.x-]{0,40}", fullmatch=True) | st.integers() | st.just("0" * 6000),
)
@MANY
def test_addresses_of_devices(kind, text):
    bounded(HostDeviceSpec.parse, {kind: text})


@given(
    st.text(max_size=40) | st.from_regex(r"https?://[^ ]{0,10}(:[0-9]{0,9})?[/?#@\[\]%a-z:]{0,12}", fullmatch=True),
    st.sampled_from([(), ("http", "https"), ("vnc",)]),
)
@MANY
def test_addresses_that_are_stored_or_opened(text, schemes):
    bounded(problem_of, text, schemes)


@given(harmed(OVF) | st.binary(max_size=300))
@MANY
def test_descriptions_of_appliances(data):
    bounded(read, data)


@given(
    st.sampled_from([rb"VirtualQuantity>", rb'capacity="', rb'size="', rb"byte * 2^"]), st.integers(0, 10**30) | st.just(10**6000)
)
@MANY
def test_huge_numbers_in_descriptions(before, number):
    digits = str(number).encode() if number < 10**4000 else b"9" * 6000
    bounded(read, OVF.replace(before, before + digits))


def disk() -> bytes:
    target = io.BytesIO()
    vmdk.encode(io.BytesIO(b"content" * 9999), target, MIB)
    return target.getvalue()


DISK = disk()


@given(harmed(DISK) | st.binary(max_size=2000))
@MANY
def test_disks_of_appliances(data):
    bounded(vmdk.decode, io.BytesIO(data), io.BytesIO(), lambda done: None, MIB)


def archive(*members: tuple[str, bytes], format: int = tarfile.USTAR_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=format) as made:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return target.getvalue()


def unpacked(data: bytes) -> None:
    for _, content, _ in Archive(io.BytesIO(data)).disks():
        while content.read(65536):
            pass


@given(harmed(archive(("a.ovf", OVF), ("a.vmdk", DISK))) | harmed(gzip.compress(archive(("a.ovf", OVF), ("a.vmdk", DISK)))))
@MANY
def test_archives_of_appliances(data):
    bounded(unpacked, data)


@given(JSON | st.fixed_dictionaries({"format": st.just(2) | st.just(1), "flow": JSON}))
@MANY
def test_flows(stored):
    bounded(read_flow, stored)


@given(st.text(max_size=40) | st.from_regex(r"[0-9*/,LW#-]{1,6}( [0-9*/,LW#-]{1,6}){4,5}", fullmatch=True))
@MANY
def test_schedules(cron):
    bounded(_problems, "nightly", cron, "Europe/Berlin", "skip", [], "tag", 1)


@given(st.dictionaries(st.sampled_from(sorted(VMSpec.model_fields)), JSON, max_size=6))
@MANY
def test_specs(fields):
    bounded(VMSpec.parse, fields)


LAB_KEYS = st.sampled_from(
    ["name", "host", "parameters", "profiles", "pools", "volumes", "images", "networks", "vms", "count", "profile", "x"]
)
LAB_VALUES = st.recursive(
    JSON | st.sampled_from(["${x}", "${x}${x}", "x", "64MiB", 3]),
    lambda inner: st.dictionaries(LAB_KEYS, inner, max_size=5),
    max_leaves=25,
)


@given(st.fixed_dictionaries({"name": st.just("x")}, optional={key: LAB_VALUES for key in KEYS if key != "name"}) | JSON)
@MANY
def test_lab_files(content):
    bounded(Lab.parse, content)


ALERT_VALUES = st.recursive(
    JSON | st.sampled_from(["log", "webhook", "email", "http://[::1", 'a=~"("', "up == 0", "5m"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "sinks", "type", "url", "alert", "expr", "for", "labels", "rules", "routes", "receiver", "equal"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.sampled_from([*sorted(TOP), "x"]), ALERT_VALUES, max_size=4) | JSON)
@MANY
def test_alert_files(content):
    bounded(read_configuration, content, "alerts.yaml")


@given(
    st.text(max_size=40)
    | st.lists(
        st.sampled_from(
            [
                "up",
                "rate(",
                "(",
                ")",
                "{",
                "}",
                "a",
                "=~",
                "=",
                '"(a"',
                "[5m]",
                "offset",
                "-",
                "+",
                "^",
                "9e9",
                "0xff",
                ",",
                " by ",
            ]
        ),
        max_size=30,
    ).map("".join)
)
@MANY
def test_expressions_of_alerts(text):
    bounded(parse_expression, text)


@given(
    st.text(max_size=80)
    | st.from_regex(r"[a-z]{1,5}(\{([a-z]{0,3}=?\"?[^\n]{0,5}\"?,?){0,3}\})? [-+0-9.einfNa]{0,9}( [0-9-]{0,5})?", fullmatch=True)
)
@MANY
def test_metrics_in_text(text):
    bounded(parse_exposition, text)


MESSAGES = RemoteMessages()
REQUEST = MESSAGES.write_request([Sample(metric="m", labels={"a": "b"}, value=1.0, at=1.0)] * 3)


@given(harmed(REQUEST) | st.binary(max_size=60))
@MANY
def test_answers_of_remote_storage(data):
    bounded(MESSAGES.read_response, data, "m")


@pytest.mark.parametrize("value", ["9" * 5000, "9" * 400, "0." + "1" * 5000, f"{'9' * 5000}GiB", " " * 10**6 + "1"], ids=len)
def test_huge_sizes_and_durations_are_refused(value):
    for parse in (parse_size, parse_duration):
        with pytest.raises(InvalidSpecError):
            parse(value)


@pytest.mark.parametrize(
    "text",
    [
        "1" + "+1" * 4000,
        "0x" + "f" * 9000,
        '"' + "a" * 10**6,
        "x" * 10**6,
        'x{a=~"' + "(" * 4000 + '"}',
        'x{a=~"b{99999999999}"}',
    ],
    ids=lambda text: text[:8],
)
def test_huge_expressions_are_refused(text):
    with pytest.raises(InvalidSpecError):
        parse_expression(text)


@pytest.mark.parametrize(
    "content",
    [
        {"parameters": {"a": "x" * 10**6}, "vms": {"v": {"description": "${a}" * 1000}}},
        {"profiles": {f"p{n}": {"profile": f"p{n + 1}"} for n in range(3000)}, "vms": {"v": {"profile": "p0"}}},
        {1: 2, None: 3},
        {"vms": {"v": {"profile": ["p"]}}},
        {"vms": {"v": {"host": ["a"]}}},
    ],
    ids=["text", "profiles", "keys", "profile", "host"],
)
def test_bombs_in_lab_files_are_refused(content):
    bounded(Lab.parse, {"name": "x", **content})
    with pytest.raises(InvalidSpecError):
        Lab.parse({"name": "x", **content})


def test_a_header_of_a_compressed_archive_is_limited():
    """2 MB of gzip can hold a header of gigabytes."""
    huge = tarfile.TarInfo("././@PaxHeader")
    huge.type, huge.size = tarfile.XHDTYPE, 4 * 2**30
    data = gzip.compress(huge.tobuf(tarfile.USTAR_FORMAT) + b"30 path=x\n" + bytes(64 * MIB))
    with pytest.raises(InvalidSpecError, match="a header"):
        unpacked(data)
    bounded(unpacked, data)
    assert HEADERS_MOST < 64 * MIB


class Endless(io.RawIOBase):
    """A file that begins in some way and has zeros without end; it counts what is read."""

    def __init__(self, begun: bytes) -> None:
        self.begun, self.count = begun, 0

    def read(self, size=-1):
        data, self.begun = self.begun[:size], self.begun[size:]
        data = data.ljust(size, b"\0")
        self.count += size
        return data


def test_a_marker_can_not_make_us_read_gigabytes():
    """A marker of a VMDK says how many sectors follow it."""
    head = bytearray(DISK[: 128 * 512])
    endless = Endless(bytes(head) + struct.pack("<QII", 2**24, 0, 1).ljust(512, b"\0"))
    with pytest.raises(InvalidSpecError):
        vmdk.decode(endless, io.BytesIO())
    assert endless.count < MIB


def test_a_disk_is_not_larger_than_its_description_says():
    """1 TiB under a description of 1 MiB is refused before anything is written."""
    target, written_to = io.BytesIO(), io.BytesIO()

    class Nothing(io.RawIOBase):
        def read(self, size=-1):
            return b""

    vmdk.encode(Nothing(), target, 2**35)
    with pytest.raises(InvalidSpecError, match="by its description"):
        vmdk.decode(io.BytesIO(target.getvalue()), written_to, described=MIB)
    assert written_to.getvalue() == b""


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 6000])
def test_huge_numbers_of_a_description_are_named(digits):
    text = OVF.replace(b"VirtualQuantity>1<", f"VirtualQuantity>{digits}<".encode())
    with pytest.raises(InvalidSpecError, match="CPU"):
        read(text)
