"""pyvmomi's names without its stubs: they call every constructor untyped and every manager possibly None."""

from __future__ import annotations

from typing import Any

import pyVmomi
from pyVim import connect as _connect

ManagedObject: Any = pyVmomi.VmomiSupport.ManagedObject
vim: Any = pyVmomi.vim
vmodl: Any = pyVmomi.vmodl
SmartStubAdapter: Any = _connect.SmartStubAdapter
SoapAdapter: Any = pyVmomi.SoapAdapter
SoapStubAdapter: Any = SoapAdapter.SoapStubAdapter

__all__ = ["ManagedObject", "SmartStubAdapter", "SoapAdapter", "SoapStubAdapter", "vim", "vmodl"]
