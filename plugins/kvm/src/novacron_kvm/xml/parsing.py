"""Reads XML without entities and without network, and finds things in it. lxml is imported by the first document, not by a listing."""

from __future__ import annotations

from typing import Any

from novacron.errors import InvalidSpecError, SpecProblem

NAMESPACE = "https://novacron.org/xmlns/vm/1"
"""NovaCron's own facts about a VM live in libvirt's <metadata> under this namespace."""
FORMAT = "libvirt domain XML"
"""The format of definitions of VMs."""


def parse(text: str) -> Any:
    """Return the root element, with all that the text has: comments, and blanks between elements, which may mean something to somebody.

    Raises:
        InvalidSpecError: it is not well formed, or declares a document type, and with it entities.
    """
    from lxml import etree

    # the text is decoded already, whatever encoding it declares; a table of IDs would cost a sixth of the time, and nothing uses it
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, encoding="utf-8", collect_ids=False)
    try:
        root = etree.fromstring(text.encode(errors="surrogatepass"), parser)
    except etree.XMLSyntaxError as error:  # the text itself may have passwords in it
        raise _invalid("something else", f"well-formed XML: {error.msg}") from None
    if "<!DOCTYPE" in text and root.getroottree().docinfo.internalDTD is not None:
        raise _invalid("a document type", "XML without <!DOCTYPE>, and so without entities")
    return root


def _invalid(given: str, allowed: str) -> InvalidSpecError:
    return InvalidSpecError("invalid XML", problems=[SpecProblem("definition", given, allowed)])


def text_of(root: Any, path: str, default: str | None = None) -> str | None:
    """Return an element's text, also around comments, or an attribute ("os/type/@arch"); `default` when it is not there."""
    path, _, attribute = path.partition("/@")
    element = root if path == "." else root.find(path)
    if element is None:
        return default
    if attribute:
        return element.get(attribute, default)  # type: ignore[no-any-return]
    return content(element) or default


def content(element: Any) -> str:
    """Return an element's own text, also around comments in it."""
    if len(element):
        return "".join([element.text or "", *(child.tail or "" for child in element)])
    return element.text or ""


def serialise(root: Any) -> str:
    """Return the document as text, nothing added and nothing left out."""
    from lxml import etree

    return str(etree.tostring(root, encoding="unicode"))


def indented(text: str) -> str:
    """Return a document with one element a line, for people to read.

    Example:
        >>> print(indented("<domain><name>web1</name></domain>"), end="")
        <domain>
          <name>web1</name>
        </domain>
    """
    from lxml import etree

    root = parse(text)
    etree.indent(root)
    return f"{serialise(root)}\n"


__all__ = ["FORMAT", "NAMESPACE", "content", "indented", "parse", "serialise", "text_of"]
