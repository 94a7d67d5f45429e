"""pyvmomi's names without its stubs: they call every constructor untyped and every manager possibly None."""

from __future__ import annotations

from typing import Any

import pyVmomi

from novacron_vmware.answers import SoapConnection

DataObject: Any = pyVmomi.VmomiSupport.DataObject
Enum: Any = pyVmomi.VmomiSupport.Enum
ManagedObject: Any = pyVmomi.VmomiSupport.ManagedObject
vim: Any = pyVmomi.vim  # type: ignore[attr-defined]  # the stubs leave these out
vmodl: Any = pyVmomi.vmodl  # type: ignore[attr-defined]
pbm: Any = pyVmomi.pbm  # type: ignore[attr-defined]
SoapAdapter: Any = pyVmomi.SoapAdapter
SoapStubAdapter: Any = SoapAdapter.SoapStubAdapter


def known_versions() -> list[tuple[str, str]]:
    """Return the versions of vSphere's API that pyvmomi knows, the newest first: its name of each, and the server's."""
    support: Any = pyVmomi.VmomiSupport
    return [(name, support.versionIdMap[name]) for name in support.GetServiceVersions("vim25")]


def pbm_stub(host: str, port: int, tls: Any, timeout: float, session: str) -> Any:
    """Return a stub of the policy service (SPBM) for a session of vCenter's, which is told in a header of each request."""
    stub = SoapStubAdapter(
        host=host,
        port=port,
        path="/pbm",
        version="pbm.version.version2",
        sslContext=tls,
        httpConnectionTimeout=timeout,
        requestContext={"vcSessionCookie": session},
    )
    stub.scheme = SoapConnection
    return stub


__all__ = [
    "DataObject",
    "Enum",
    "ManagedObject",
    "SoapAdapter",
    "SoapStubAdapter",
    "known_versions",
    "pbm",
    "pbm_stub",
    "vim",
    "vmodl",
]
