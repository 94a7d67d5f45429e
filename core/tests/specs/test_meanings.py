"""Every field of a spec and every attribute of a record has a meaning, with its unit."""

import re

import pytest

from novacron.labs.schema import lab_schema
from novacron.meanings import introduction, meanings
from novacron.specs import DiskSpec, NICSpec, NICUpdate, VMSpec
from novacron.specs.describing import described_classes, described_fields
from novacron.specs.spec import Spec

UNITS = {"bytes": r"(?i)\bbytes?\b", "bytes per second": r"bytes per second", "seconds": r"seconds"}
"""What the meaning of a field with a unit contains, by the unit."""

ENDS = {
    r"_bytes$": r"(?i)\bbytes\b",
    r"_bytes_per_second$": r"bytes per second",
    r"(^|_)seconds$": r"(?i)\bseconds",
    r"(_at|^at|^since|^until)$": r"seconds since 1970|ISO 8601",
    r"_latency$": r"seconds",
    r"_percent$": r"percent",
    r"_us$": r"microseconds",
    r"_mhz$": r"MHz",
    r"_gib_hours$": r"GiB .*hours",
    r"_iops$": r"requests per second",
    r"^mtu$": r"bytes",
}
"""What the meaning of a field contains, by the end of its name."""

CLASSES = described_classes()
FIELDS = [field for cls in CLASSES.values() for field in described_fields(cls)]


def test_each_attribute_has_a_meaning_and_each_meaning_an_attribute():
    """The meanings stand in the order of the class."""
    for name, cls in CLASSES.items():
        assert [*meanings(cls)] == [each.name for each in described_fields(cls)] != [], name
        assert introduction(cls).endswith("."), name


def test_meanings_are_sentences_with_the_unit():
    problems = []
    for field in FIELDS:
        wanted = [UNITS[field.unit]] if field.unit else []
        wanted += [unit for end, unit in ENDS.items() if re.search(end, field.name)]
        wanted += [r"^[\"A-Z].{6,}\.$"]
        problems += [f"{field.owner}.{field.name}: {each}" for each in wanted if not re.search(each, field.meaning)]
    assert not problems, "\n".join(problems)


def test_each_property_of_a_record_is_documented():
    for name, cls in CLASSES.items():
        properties = {key: each for key, each in vars(cls).items() if isinstance(each, property) and key[0] != "_"}
        assert all(each.__doc__ for each in properties.values()), name


def test_the_meaning_of_a_default_that_is_stated_is_the_default():
    """Texts and code must not differ."""
    compared = 0
    for field in FIELDS:
        stated = re.search(r'Default: (?:the pool )?"?([\w./:+-]+(?: MiB)?)"?[.,]', field.meaning)
        if stated and field.default:
            default = field.default.replace("m", " minutes") if field.unit == "seconds" else field.default
            assert default.startswith(stated[1]), field
            compared += 1
    assert compared > 50


def test_a_class_has_the_meanings_of_its_bases():
    assert meanings(NICUpdate) == meanings(NICSpec)


def test_without_docstrings_there_are_no_meanings_and_the_schema_still_works():
    class Bare(Spec):
        size: int = 0

    assert meanings(Bare) == {}
    assert "description" not in Bare.model_json_schema()["properties"]["size"]
    assert meanings(type("Bare", (), {"__doc__": None})) == {}


def test_the_schema_for_editors_has_the_same_texts():
    for cls in (VMSpec, DiskSpec):
        schema = cls.model_json_schema()
        assert {name: each["description"] for name, each in schema["properties"].items()} == meanings(cls)
        assert schema["description"] == introduction(cls)
    lab = lab_schema()["$defs"]
    assert lab["vm"]["properties"]["memory"]["description"] == meanings(VMSpec)["memory"]
    assert lab["DiskSpec"]["properties"]["cache"]["description"] == meanings(DiskSpec)["cache"]


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("name", "1 to 128 letters"),
        ("vcpus", "a whole number; 1 to 4096"),
        ("memory_max", "16 MiB to 256 TiB"),
        ("boot_menu", 'a number of seconds, or text such as "5m"; 0 to 65'),
        ("firmware", "bios, uefi, uefi-secure"),
        ("disks", "a list; each entry: the fields of DiskSpec"),
        ("tpm", "true or false"),
        ("id", "a UUID such as"),
        ("system_info", "names with values; each value: text without control characters"),
    ],
)
def test_allowed_values_are_told_in_plain_words(field, allowed):
    found = next(each for each in described_fields(VMSpec) if each.name == field)
    assert allowed in found.allowed
