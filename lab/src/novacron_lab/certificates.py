"""Issues the certificates of a lab: one authority, one certificate for each host and one for the clients on this machine.

libvirt and QEMU expect different file names for the same thing; both sets are written.
"""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

from novacron_lab.running import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
DAYS = "3650"
LIBVIRT_NAMES = {"ca-cert": "cacert", "client-cert": "clientcert", "client-key": "clientkey"}
"""QEMU's names of a client's files, each with the name that libvirt's `pkipath` expects."""


def make_authority(folder: Path) -> None:
    """Write an authority's `ca-cert.pem` and `ca-key.pem` into a new folder that only its owner can read."""
    folder.mkdir(mode=0o700)
    run(
        "openssl",
        "req",
        "-x509",
        *KEY,
        "-keyout",
        folder / "ca-key.pem",
        "-out",
        folder / "ca-cert.pem",
        "-days",
        DAYS,
        "-subj",
        "/CN=NovaCron lab",
    )


def make_certificate(authority: Path, folder: Path, name: str, address: str) -> None:
    """Write a host's certificate and key, for its use as server and as client, into a new folder that only its owner can read."""
    folder.mkdir(mode=0o700)
    _issue(authority, folder, "server", name, f"subjectAltName=IP:{address},DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    for kind in ("cert", "key"):
        shutil.copy(folder / f"server-{kind}.pem", folder / f"client-{kind}.pem")


def make_client(authority: Path, folder: Path) -> None:
    """Write what libvirt's `pkipath` parameter names, a client's certificate and key, into a new folder that only its owner can read.

    Whoever can read this folder may do everything on every host of the lab.
    """
    folder.mkdir(mode=0o700)
    _issue(authority, folder, "client", "NovaCron lab client", "extendedKeyUsage=clientAuth\n")
    for name, libvirt_name in LIBVIRT_NAMES.items():
        (folder / f"{name}.pem").rename(folder / f"{libvirt_name}.pem")


def _issue(authority: Path, folder: Path, kind: str, name: str, extensions: str) -> None:
    shutil.copy(authority / "ca-cert.pem", folder)
    request, wanted = folder / "request.pem", folder / "extensions"
    wanted.write_text(extensions)
    run("openssl", "req", *KEY, "-keyout", folder / f"{kind}-key.pem", "-out", request, "-subj", f"/CN={name}")
    run(
        "openssl",
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        authority / "ca-cert.pem",
        "-CAkey",
        authority / "ca-key.pem",
        "-set_serial",
        str(secrets.randbits(63)),
        "-days",
        DAYS,
        "-extfile",
        wanted,
        "-out",
        folder / f"{kind}-cert.pem",
    )
    request.unlink()
    wanted.unlink()


__all__ = ["make_authority", "make_certificate", "make_client"]
