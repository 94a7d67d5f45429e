"""Whatever libvirt's own schema allows in a definition is read, and stays as it is when something else is changed."""

import random
import re
from collections import Counter
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import rstr
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from novacron.records.vm import VM
from novacron.specs import NICSpec
from novacron_kvm.xml.devices.nic import change_nic, set_link
from novacron_kvm.xml.facts import VMFacts
from novacron_kvm.xml.parsing import NAMESPACE, parse, serialise, text_of
from novacron_kvm.xml.reading import fields
from novacron_kvm.xml.resources import fields as resource_fields
from novacron_kvm.xml.resources import set_scheduling

SCHEMAS = Path("/usr/share/libvirt/schemas")
RNG = "{http://relaxng.org/ns/structure/1.0}"
NUMBERS = {"unsignedInt", "unsignedLong", "int", "integer", "long", "unsignedShort", "positiveInteger", "short", "double"}
FOREIGN = "urn:example:tool"
pytestmark = pytest.mark.slow  # its documents take ten seconds; what they check is libvirt's schema and lxml, with any Python


class Grammar:
    """Writes documents that a RELAX NG schema allows; of each choice what was taken least, so that soon all of it was."""

    def __init__(self, file: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.text_like = rstr.Rstr(self.random)
        self.defines: dict[str, list] = {}
        self.taken: Counter = Counter()
        self.start = self._load(file)

    def _load(self, file: Path):
        start = None
        for child in etree.parse(file).getroot():
            if child.tag == RNG + "include":
                start = self._load(file.parent / child.get("href")) or start
            elif child.tag == RNG + "define":
                self.defines[child.get("name")] = list(child.iterchildren("{*}*"))
            elif child.tag == RNG + "start":
                start = child[0]
        return start

    def document(self):
        """Return the root of a new document."""
        self.size = 0
        holder = etree.Element("holder")
        self._write(self.start, holder, 0)
        return holder[0]

    def reached(self, node, seen=None):
        """Yield all that a document can be made of."""
        seen = set() if seen is None else seen
        yield node
        for child in node if node.tag != RNG + "ref" else self.defines[node.get("name")]:
            if isinstance(child.tag, str) and child not in seen:
                seen.add(child)
                yield from self.reached(child, seen)

    def _all(self, nodes, parent, depth):
        for node in nodes:
            if isinstance(node.tag, str):
                self._write(node, parent, depth)

    def _write(self, node, parent, depth):
        kind = node.tag.removeprefix(RNG)
        if kind in ("group", "interleave"):
            self._all(node if kind == "group" else self.random.sample([*node], len(node)), parent, depth)
        elif kind == "ref":
            self._all(self.defines[node.get("name")], parent, depth + 1)
        elif kind in ("optional", "zeroOrMore", "oneOrMore"):
            most = 1 if kind == "optional" else 8
            for number in range(most):
                if (kind == "oneOrMore" and not number) or self._wanted(node, depth):
                    self._all(node, parent, depth)
        elif kind == "choice":
            allowed = [n for n in node if isinstance(n.tag, str) and n.tag != RNG + "notAllowed"]
            least = min(self.taken[n] + (1000 if depth > 60 and n.tag == RNG + "ref" else 0) for n in allowed)
            chosen = self.random.choice([n for n in allowed if self.taken[n] <= least]) if depth <= 60 else allowed[-1]
            self.taken[chosen] += 1
            self._write(chosen, parent, depth + 1)
        elif kind == "element":
            self._element(node, parent, depth)
        elif kind == "attribute":
            self._attribute(node, parent, depth)
        elif kind in ("text", "data", "value"):
            parent.text = (parent.text or "") + self._value(node)

    def _wanted(self, node, depth):
        likely = 0.6 if node.tag != RNG + "optional" or node[0].get("name") == "devices" else 0.2
        wanted = self.size < 200 and depth < 60 and self.random.random() < max(likely, 1 / (1 + self.taken[node]))
        self.taken[node] += wanted
        return wanted

    def _element(self, node, parent, depth):
        self.size += 1
        name, content = node.get("name"), list(node.iterchildren("{*}*"))
        if name is None:
            content = content[1:]  # anyName, and what is not it
            name = f"{{{FOREIGN}}}thing{self.random.randrange(3)}"
        elif namespace := self._namespace(node):
            name = f"{{{namespace}}}{name}"
        self._all(content, etree.SubElement(parent, name), depth + 1)

    @cache  # noqa: B019 - a grammar lives as long as its test
    def _like(self, pattern):
        return [re.sub(r"[\x00-\x1f\x7f]", "x", self.text_like.xeger(pattern)) for _ in range(12)]

    @cache  # noqa: B019 - a grammar lives as long as its test
    def _namespace(self, node):
        return next((n.get("ns") for n in (node, *node.iterancestors()) if n.get("ns")), None)

    def _attribute(self, node, parent, depth):
        name, content = node.get("name"), list(node.iterchildren("{*}*"))
        if name is None:
            name, content = f"foreign{self.random.randrange(3)}", content[1:]
        holder = etree.Element("value")
        if content:
            self._all(content, holder, depth + 1)
        else:
            holder.text = "anything"
        parent.set(name, holder.text or "")

    def _value(self, node):
        kind = node.tag.removeprefix(RNG)
        if kind == "value":
            return node.text or ""
        if kind == "text":
            return self.random.choice(["some text", "", " a  b\n", "ä&<>\"'"])
        number = node.get("type") in NUMBERS
        limits = {p.get("name"): int(p.text) for p in node.iterchildren(RNG + "param") if p.text.lstrip("-").isdigit()}
        pattern = node.find(RNG + "param[@name='pattern']")
        if pattern is not None and not limits:
            found = self.random.choice(self._like(pattern.text))
            return found[:3] if number else found
        if number:
            low = limits.get("minInclusive", 1)
            return str(self.random.randint(low, min(limits.get("maxInclusive", low + 64), low + 64)))
        return {"dateTime": "2026-01-02T03:04:05", "anyURI": "http://example.org/"}.get(node.get("type"), "a-name")


@pytest.fixture(scope="module")
def schema():
    return etree.RelaxNG(etree.parse(SCHEMAS / "domain.rng"))


@pytest.fixture(scope="module")
def definitions(schema, sample):
    """Many definitions that the schema allows, as text."""
    grammar = Grammar(SCHEMAS / "domain.rng", seed=7)
    made = [grammar.document() for _ in range(sample(850, 3000))]
    valid = [root for root in made if schema.validate(root)]
    assert len(valid) > 0.9 * len(made)
    return [etree.tostring(root, encoding="unicode") for root in valid]


def canonical(text):
    return etree.tostring(etree.fromstring(text), method="c14n", with_comments=True)


def test_together_they_have_nearly_everything_that_the_schema_knows(definitions):
    grammar = Grammar(SCHEMAS / "domain.rng", seed=0)
    known = {e.get("name") for e in grammar.reached(grammar.start) if e.tag == RNG + "element" and e.get("name")}
    had = {etree.QName(e).localname for text in definitions for e in etree.fromstring(text).iter()}
    assert len(known - had) < 0.02 * len(known), sorted(known - had)


def test_each_is_read_into_a_record(definitions):
    for text in definitions:
        root = etree.fromstring(text)
        read = fields(text)
        assert len(read["disks"]) == len(root.findall("devices/disk"))
        assert len(read["nics"]) == len(root.findall("devices/interface"))
        assert read["arch"] == text_of(root, "os/type/@arch")
        assert read["description"] == (root.findtext("description") or "")
        VM(id="x", name="x", host="x", status="stopped", **read).as_dict()
        resource_fields(parse(text))


def test_nothing_is_lost_when_one_is_written_back(definitions):
    for text in definitions:
        assert canonical(serialise(parse(text))) == canonical(text)


def without(text, *paths):
    """Return a definition without some elements, and without what stood around them."""
    root = etree.fromstring(text)
    for path in paths:
        for element in root.findall(path):
            element.getparent().remove(element)
    return etree.tostring(root, method="c14n")


def test_facts_of_ours_change_nothing_else(definitions):
    for text in definitions:
        root = parse(text)
        bare = root.find("metadata") is None
        own = VMFacts(tags=("a",), made=("/b",))
        own.write(root)
        assert VMFacts.read(root) == own
        ours = ["metadata"] if bare else [f"metadata/{{{NAMESPACE}}}vm"]
        assert without(serialise(root), *ours) == without(text)


def test_limits_and_links_change_nothing_else(definitions):
    for text in definitions:
        root = parse(text)
        set_scheduling(root, {"cpu_shares": 2000})
        for nic in root.iterfind("devices/interface"):
            set_link(nic, up=False)
        assert {e.get("state") for e in root.iterfind("devices/interface/link")} <= {"down"}
        changed = ["cputune/shares", "devices/interface/link"] + (
            [] if etree.fromstring(text).find("cputune") is not None else ["cputune"]
        )
        assert without(serialise(root), *changed) == without(text, *changed)


def test_a_nic_that_changes_its_network_keeps_all_that_was_not_asked(definitions):
    changed, spec = 0, NICSpec(network="other", vlan=7)
    for text in definitions:
        root = parse(text)
        for nic in root.iterfind("devices/interface"):
            before = deepcopy(nic)
            change_nic(nic, spec)
            assert (nic.get("type"), nic.find("source").get("network"), nic.find("vlan/tag").get("id")) == (
                "network",
                "other",
                "7",
            )
            if before.get("type", "network") != "network":
                assert nic.find("virtualport") is None, "it belongs to the switch that the NIC leaves"
                tags = ("source", "vlan", "virtualport")
            else:
                tags = ("source", "vlan")
            for element in (before, nic):
                element.attrib.pop("type", None)
                for tag in tags:
                    for child in element.findall(tag):
                        element.remove(child)
            assert etree.tostring(nic, method="c14n") == etree.tostring(before, method="c14n")
            changed += 1
    assert changed > 50, changed


ODDITIES = st.sampled_from(
    [
        "<!-- a comment -->",
        "<?tool keep this?>",
        f"<x:thing xmlns:x='{FOREIGN}' x:a='1'> <y/>\n</x:thing>",
        "<![CDATA[a < b]]>",
        " \n\t ",
        "&#9;&#160;&#x1F600;",
    ]
)


@given(data=st.data())
def test_what_others_put_anywhere_is_kept_and_hinders_nobody(definitions, data):
    """Comments, instructions, elements of other namespaces, blanks: libvirt keeps them in metadata, other tools write them everywhere."""
    text = data.draw(st.sampled_from(definitions))
    places = [m.end() for m in re.finditer(r">", text)][:-1]
    for place in sorted(data.draw(st.sets(st.sampled_from(places), max_size=5)), reverse=True):
        text = text[:place] + data.draw(ODDITIES) + text[place:]
    fields(text)
    root = parse(text)
    VMFacts().write(root)
    assert canonical(serialise(parse(text))) == canonical(text)
    ours = ["metadata"] if etree.fromstring(text).find("metadata") is None else [f"metadata/{{{NAMESPACE}}}vm"]
    assert without(serialise(root), *ours) == without(text)


def test_a_text_is_read_around_comments():
    assert fields("<domain><description>a<!--x-->b</description></domain>")["description"] == "ab"
