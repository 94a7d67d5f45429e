"""Definitions of other tools, on libvirt's test driver."""

import pytest

import novacron
from novacron import errors


def test_a_definition_beyond_the_schema_is_told_how_to_be_accepted():
    text = "<domain type='test'><name>beyond</name><uuid/><memory>1</memory><os><type>hvm</type></os></domain>"
    with novacron.connect("test:///default") as host, pytest.raises(errors.InvalidSpecError) as caught:
        host.vms.import_definition(text)
    assert "--no-validate" in caught.value.hint
