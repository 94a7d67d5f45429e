"""Certificates of a lab's own authority, so that its hosts can encrypt what they send each other as real ones do."""

from __future__ import annotations

import shutil
from pathlib import Path

from novacron_lab.running import run

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
DAYS = "3650"


def make_authority(folder: Path) -> None:
    """Put an authority's `ca-cert.pem` and `ca-key.pem` into a folder."""
    folder.mkdir(mode=0o700)
    run("openssl", "req", "-x509", *KEY, "-keyout", folder / "ca-key.pem", "-out", folder / "ca-cert.pem", "-days", DAYS,
        "-subj", "/CN=NovaCron lab")  # fmt: skip


def make_certificate(authority: Path, folder: Path, name: str, address: str) -> None:
    """Put what QEMU and libvirt expect of a host, as server and as client, into a folder."""
    folder.mkdir(mode=0o700)
    shutil.copy(authority / "ca-cert.pem", folder)
    request, extensions = folder / "request.pem", folder / "extensions"
    extensions.write_text(f"subjectAltName=IP:{address},DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    run("openssl", "req", *KEY, "-keyout", folder / "server-key.pem", "-out", request, "-subj", f"/CN={name}")
    run("openssl", "x509", "-req", "-in", request, "-CA", authority / "ca-cert.pem", "-CAkey", authority / "ca-key.pem",
        "-set_serial", str(int.from_bytes(name.encode(), "big")), "-days", DAYS, "-extfile", extensions,
        "-out", folder / "server-cert.pem")  # fmt: skip
    for kind in ("cert", "key"):
        shutil.copy(folder / f"server-{kind}.pem", folder / f"client-{kind}.pem")
    request.unlink()
    extensions.unlink()


__all__ = ["make_authority", "make_certificate"]
