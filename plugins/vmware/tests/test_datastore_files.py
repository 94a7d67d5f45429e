"""The datastore browser; govc is the witness."""

from __future__ import annotations

import io
import json

import pytest

from novacron import DiskSpec, VMSpec, errors
from novacron.jobs import Job

STORE = "LocalDS_0"


def listed(govc, *path):
    found = json.loads(govc("datastore.ls", "-json", "-dc", "/DC0", "-ds", STORE, *path))
    return sorted(file["path"] for part in found for file in part.get("file") or ())


def test_files_are_uploaded_listed_copied_moved_downloaded_and_deleted(host, govc, tmp_path):
    """In folders, with names of blanks, umlauts and percent signs."""
    native, content = host.native, bytes(range(256)) * 40
    folder = native.datastore_mkdir(f"{STORE}/böx 1/deep", parents=True)
    assert (folder.kind, folder.path) == ("folder", f"[{STORE}] böx 1/deep")
    sent = native.datastore_upload(io.BytesIO(content), f"[{STORE}] böx 1/a %41.bin")
    assert (sent.name, sent.size_bytes) == ("a %41.bin", len(content))
    assert listed(govc, "böx 1") == ["a %41.bin", "deep"]
    govc("datastore.download", "-dc", "/DC0", "-ds", STORE, "böx 1/a %41.bin", str(tmp_path / "govc"))
    assert (tmp_path / "govc").read_bytes() == content
    assert native.datastore_cp(sent.path, f"{STORE}/böx 1/deep/b.bin").size_bytes == len(content)
    moved = native.datastore_mv(f"{STORE}/böx 1/deep/b.bin", "LocalDS_1/moved.bin")
    assert moved.path == "[LocalDS_1] moved.bin"
    assert [file.name for file in native.datastore_ls(f"{STORE}/böx 1", recurse=True)] == ["a %41.bin", "deep"]
    assert listed(govc, "böx 1/deep") == []
    target = io.BytesIO()
    native.datastore_download("/DC0/datastore/LocalDS_1:moved.bin", target)
    assert target.getvalue() == content
    with pytest.raises(errors.AlreadyExistsError):
        native.datastore_upload(io.BytesIO(b"x"), sent.path)
    assert native.datastore_upload(io.BytesIO(b"x"), sent.path, replace=True).size_bytes == 1
    native.datastore_rm("LocalDS_1/moved.bin")
    assert native.task_list()[0].state == "success"
    native.datastore_rm(f"{STORE}/böx 1")
    assert "böx 1" not in listed(govc)
    with pytest.raises(errors.NotFoundError):
        native.datastore_rm(f"{STORE}/böx 1")


def test_files_of_vms_are_not_deleted_moved_or_replaced(host, govc):
    """Neither its disk, nor its folder, nor a folder above."""
    vm = host.vms.create(VMSpec(name="keeper", memory="64MiB", disks=[DiskSpec(size="1MiB", pool=STORE)]))
    disk = vm.record.disks[-1].source
    for place in (disk, disk.rpartition("/")[0], disk.replace(".vmdk", "-flat.vmdk")):
        with pytest.raises(errors.InvalidStateError, match="keeper"):
            host.native.datastore_rm(place)
        with pytest.raises(errors.InvalidStateError, match="keeper"):
            host.native.datastore_mv(place, f"{STORE}/elsewhere")
    with pytest.raises(errors.InvalidStateError, match="keeper"):
        host.native.datastore_upload(io.BytesIO(b""), disk, replace=True)
    assert disk.rpartition("/")[2] in listed(govc, disk.partition("] ")[2].rpartition("/")[0])
    vm.delete()


@pytest.mark.parametrize("place", ["", "/", STORE, f"{STORE}/../x", "[x", f"[{STORE}] a/../../b"])
def test_places_that_are_none_are_refused(host, place):
    with pytest.raises((errors.InvalidSpecError, errors.StoragePoolNotFoundError)):
        host.native.datastore_rm(place)


def test_uploads_and_downloads_tell_how_far_they_are(host, govc, tmp_path, monkeypatch):
    """In bytes, that add up to the size of the file, or of the part that is fetched."""
    size, reported = 2 * 2**20 + 5, []
    report = Job.report

    def reporting(self, phase, fraction=None, **more):
        if "transferred_bytes" in more:
            reported.append((phase, fraction, more["transferred_bytes"], more["total_bytes"]))
        return report(self, phase, fraction, **more)

    monkeypatch.setattr(Job, "report", reporting)
    host.native.datastore_upload(io.BytesIO(bytes(size)), f"{STORE}/large.bin")
    steps = [2**20, 2 * 2**20, size]
    assert reported == [("uploading", done / size, done, size) for done in steps]
    govc("datastore.download", "-dc", "/DC0", "-ds", STORE, "large.bin", str(tmp_path / "govc"))
    assert (tmp_path / "govc").stat().st_size == size
    for part, total in (({}, size), ({"offset": 5, "length": 2**20}, 2**20)):
        reported.clear()
        host.native.datastore_download(f"{STORE}/large.bin", io.BytesIO(), **part)
        done = [each[2] for each in reported]
        assert done == sorted(set(done)), part
        assert reported[-1] == ("downloading", 1.0, total, total)
        assert all(fraction == now / total for _, fraction, now, _ in reported)
    host.native.datastore_rm(f"{STORE}/large.bin")
