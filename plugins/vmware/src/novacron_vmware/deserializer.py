"""Reads answers and writes requests as pyVmomi does, and several times faster.

pyVmomi looks up the type of each element and checks each value anew. A long answer has few kinds of elements, so this reader lets pyVmomi
read the first one of each kind and then repeats what it did. Whatever is unusual, pyVmomi reads itself.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from novacron_vmware.sdk import DataObject, Enum, ManagedObject, SoapAdapter
from novacron_vmware.unknown_types import TolerantDeserializer, Unknown

XSI_TYPE: str = SoapAdapter.XSI_TYPE
KINDS = 4096
"""Kinds of elements that are remembered of one answer; a server could send a new one with each element."""
BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
Start = tuple[Any, dict[str, Any] | None, tuple[tuple[str, Any], ...]]
"""A type; of data the values that a new object has, and its lists."""


class QuickDeserializer(TolerantDeserializer):
    """pyVmomi's reader of answers, which remembers what it did for each kind of element. One is made for each answer."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._begun: dict[tuple[Any, ...], Start] = {}
        self._stored: dict[tuple[Any, ...], tuple[str, bool]] = {}
        self._read: dict[Any, Callable[[str], Any] | None] = {}
        self._bound: dict[str | None, str] = {}
        self._plain = True

    def StartNamespaceDeclHandler(self, prefix: str | None, uri: str) -> None:
        if self._bound.setdefault(prefix, uri) != uri:
            self._plain = False  # the name of a type no longer means one type
        super().StartNamespaceDeclHandler(prefix, uri)

    def StartElementHandler(self, tag: str, attr: dict[str, str]) -> None:
        stack = self.stack
        if not stack or not self._plain or "serverGuid" in attr:
            super().StartElementHandler(tag, attr)
            return
        kind = (type(stack[-1]), tag, attr.get(XSI_TYPE), attr.get("type"))
        found = self._begun.get(kind)
        if found is None:
            super().StartElementHandler(tag, attr)
            self._remember_start(kind, stack[-1])
            return
        self.data, self.serverGuid = "", None
        made, values, lists = found
        if values is not None:
            made = made.__new__(made)
            made.__dict__.update(values)
            for name, of in lists:
                made.__dict__[name] = of()
        stack.append(made)

    def _remember_start(self, kind: tuple[Any, ...], begun: Any) -> None:
        if len(self._begun) >= KINDS or isinstance(begun, Exception) or kind[0] is type:
            return
        if isinstance(begun, type):
            self._begun[kind] = (begun, None, ())
        elif isinstance(begun, DataObject) and type(begun) is not Unknown:
            values = vars(begun)
            lists = tuple((name, type(value)) for name, value in values.items() if isinstance(value, list))
            self._begun[kind] = (type(begun), {n: v for n, v in values.items() if not isinstance(v, list)}, lists)

    def EndElementHandler(self, tag: str) -> None:
        stack = self.stack
        if len(stack) < 2:
            super().EndElementHandler(tag)
            return
        made, above = stack[-1], stack[-2]
        if isinstance(made, type):
            if made not in self._read:
                self._read[made] = self._reader(made)
            reader = self._read[made]
            value = None if reader is None else reader(self.data)
        else:
            value = None if isinstance(made, list | Exception | SoapAdapter.LocalizedMethodFault) else made
        if value is None or not isinstance(above, DataObject):
            super().EndElementHandler(tag)
            return
        kind = (type(above), tag, type(value))
        found = self._stored.get(kind)
        if found is None:
            super().EndElementHandler(tag)  # it checks the type of the value
            if len(self._stored) < KINDS and type(above) is not Unknown:
                info = above._GetPropertyInfo(self.SplitTag(tag)[1])
                self._stored[kind] = (info.name, issubclass(info.type, list))
            return
        del stack[-1]
        name, many = found
        if many:
            above.__dict__[name].append(value)
        else:
            above.__dict__[name] = value

    def _reader(self, kind: Any) -> Callable[[str], Any] | None:
        """Return what makes a value of a type of its text, None for the rarer types and for what is no such value."""
        if kind is str:
            return str
        if kind is bool:
            return BOOLEANS.get
        if issubclass(kind, ManagedObject):
            stub, known = self.stub, dict[str, Any]()

            def reference(text: str) -> Any:
                if self.serverGuid is not None:
                    return None
                return known.get(text) or known.setdefault(text, kind(text, stub))

            return reference
        if issubclass(kind, Enum):
            return lambda text: getattr(kind, text, None)
        return kind if issubclass(kind, str | int | float) else None


class QuickSerializer(SoapAdapter.SoapSerializer):  # type: ignore[misc]
    """pyVmomi's writer of requests, which writes a list that many objects of one request share only once."""

    writer: Any

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._lists: dict[tuple[int, int, str], str] = {}

    def _Serialize(self, val: Any, info: Any, defNS: str) -> None:
        if type(val) is not list or self.outermostAttrs:
            super()._Serialize(val, info, defNS)
            return
        key = (id(val), id(info), defNS)
        if key not in self._lists:
            writer, self.writer = self.writer, io.StringIO()
            try:
                super()._Serialize(val, info, defNS)
                self._lists[key] = self.writer.getvalue()
            finally:
                self.writer = writer
        self.writer.write(self._lists[key])


def install() -> None:
    """Let pyVmomi read answers and write requests so, in the whole process."""
    SoapAdapter.SoapDeserializer, SoapAdapter.SoapSerializer = QuickDeserializer, QuickSerializer


__all__ = ["QuickDeserializer", "QuickSerializer", "install"]
