"""Reads XML without entities and without network, and finds things in it."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem

NAMESPACE = "https://novacron.org/xmlns/vm/1"
"""NovaCron's own facts about a VM live in libvirt's <metadata> under this namespace."""


def parse(text: str) -> Any:
    """Return the root element. Raises InvalidSpecError when it is not well formed."""
    from lxml import etree  # a listing needs none of it

    parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_blank_text=True, huge_tree=False)
    try:
        return etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise InvalidSpecError("invalid XML", problems=[SpecProblem("definition", text[:60], str(error))]) from None


def text_of(root: Any, path: str, default: str | None = None) -> str | None:
    """Return an element's text or an attribute ("os/type/@arch"), `default` when it is not there."""
    path, _, attribute = path.partition("/@")
    element = root if path == "." else root.find(path)
    if element is None:
        return default
    value = element.get(attribute) if attribute else element.text
    return default if value is None else str(value)


def serialise(root: Any) -> str:
    """Return the document as text."""
    from lxml import etree

    return str(etree.tostring(root, encoding="unicode", pretty_print=True))


__all__ = ["NAMESPACE", "parse", "serialise", "text_of"]
