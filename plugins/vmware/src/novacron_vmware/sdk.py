"""pyvmomi's names without its stubs: they call every constructor untyped and every manager possibly None."""

from __future__ import annotations

from typing import Any

import pyVmomi
from pyVim import connect as _connect

ManagedObject: Any = pyVmomi.VmomiSupport.ManagedObject
vim: Any = pyVmomi.vim
vmodl: Any = pyVmomi.vmodl
pbm: Any = pyVmomi.pbm  # type: ignore[attr-defined]  # the stubs leave it out
SmartStubAdapter: Any = _connect.SmartStubAdapter
SoapAdapter: Any = pyVmomi.SoapAdapter
SoapStubAdapter: Any = SoapAdapter.SoapStubAdapter


def pbm_stub(host: str, port: int, tls: Any, timeout: float, session: str) -> Any:
    """Return a stub of the policy service (SPBM) for a session of vCenter's, which is told in a header of each request."""
    return SoapStubAdapter(
        host=host,
        port=port,
        path="/pbm",
        version="pbm.version.version2",
        sslContext=tls,
        httpConnectionTimeout=timeout,
        requestContext={"vcSessionCookie": session},
    )


__all__ = ["ManagedObject", "SmartStubAdapter", "SoapAdapter", "SoapStubAdapter", "pbm", "pbm_stub", "vim", "vmodl"]
