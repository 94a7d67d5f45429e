"""NovaCron's facts about a VM: they survive being written and read, and what a definition from outside claims is not believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novacron_kvm.lifecycle.creation import _without_claims
from novacron_kvm.snapshots.metadata import NAMESPACE as SNAPSHOTS
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import NAMESPACE, parse, serialise

TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=20)
PATHS = st.lists(TEXT.map(lambda name: f"/pool/{name}"), max_size=4, unique=True).map(tuple)
FACTS = st.builds(
    VMFacts,
    tags=st.lists(TEXT, max_size=3).map(tuple),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
    made=PATHS,
    chain=PATHS,
    secrets=st.dictionaries(TEXT, TEXT, max_size=3),
    created_at=st.none() | st.just("2026-01-01T00:00:00+00:00"),
)
DEFINITION = """<domain><name>x</name><metadata>{metadata}</metadata><devices>
<disk type='file'><source file='/pool/clear'/><target dev='vda'/></disk>
<disk type='file'><source file='/pool/luks'><encryption format='luks'/></source><target dev='vdb'/></disk></devices></domain>"""


@given(FACTS)
def test_facts_are_read_as_they_were_written(facts):
    root = parse("<domain/>")
    facts.write(root)
    assert VMFacts.read(parse(serialise(root))) == facts


@given(FACTS, PATHS)
def test_a_file_that_is_forgotten_is_named_nowhere(facts, paths):
    left = facts.with_files(paths).with_chain(paths).without_files(paths)
    assert not {*paths} & {*left.made, *left.chain, *left.secrets}
    assert {*left.made} == {*facts.made} - {*paths}


def test_facts_of_a_later_version_are_kept():
    root = parse(f'<domain><metadata><n:vm xmlns:n=\'{NAMESPACE}\'>{{"later": [1], "tags": ["a"]}}</n:vm></metadata></domain>')
    VMFacts.read(root).with_labels(["b"], {"k": "v"}).write(root)
    assert VMFacts.read(root) == VMFacts(tags=("b",), metadata={"k": "v"}, other={"later": [1]})


@pytest.mark.parametrize("claim", ["made", "chain"])
def test_what_an_imported_definition_says_of_its_files_is_not_believed(claim):
    own = VMFacts(tags=("kept",), **{claim: ("/pool/clear", "/pool/of-another-vm")})
    text = DEFINITION.format(metadata=own.markup())
    assert VMFacts.read(parse(_without_claims(parse(text), text))) == VMFacts(tags=("kept",))


def test_secrets_of_files_that_are_no_encrypted_disks_of_the_definition_are_not_believed():
    own = VMFacts(secrets={"/pool/luks": "mine", "/pool/clear": "not-encrypted", "/pool/other": "of-another"})
    text = DEFINITION.format(metadata=own.markup())
    assert VMFacts.read(parse(_without_claims(parse(text), text))).secrets == {"/pool/luks": "mine"}


def test_claims_in_two_elements_and_stored_snapshots_are_not_believed():
    own = VMFacts(made=("/pool/clear",))
    stored = f"<s:stored xmlns:s='{SNAPSHOTS}'>x</s:stored>"
    text = DEFINITION.format(metadata=VMFacts(tags=("a",)).markup() + own.markup() + stored)
    cleaned = _without_claims(parse(text), text)
    assert "/pool/clear" not in cleaned.partition("</metadata>")[0]
    assert SNAPSHOTS not in cleaned


def test_a_definition_without_facts_is_defined_byte_for_byte():
    text = DEFINITION.format(metadata="<other xmlns='urn:x'/>")
    assert _without_claims(parse(text), text) is text
