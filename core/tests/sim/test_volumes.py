"""Storage pools and volumes."""

import io

import pytest

from novacron import errors


def test_a_pool_lives_and_its_volumes_outlive_it(a, volumes):
    a.pools.create(name="fast", path="/fast")
    a.pools.create_volume("fast", name="v", capacity="1GiB")
    for again in ({"name": "fast"}, {"name": "other", "path": "/fast"}):
        with pytest.raises(errors.AlreadyExistsError):
            a.pools.create(**again)
    assert a.invoke("pool_stop", pool="fast").active is False
    with pytest.raises(errors.InvalidStateError):
        a.pools.volumes("fast")
    assert a.invoke("pool_start", pool="fast") == a.invoke("pool_refresh", pool="fast")
    assert a.pools.delete("fast").kept == ("/fast/v",)
    with pytest.raises(errors.StoragePoolNotFoundError):
        a.pools["fast"]
    a.pools.create(name="again", path="/fast")
    assert [v.name for v in a.pools.volumes("again")] == ["v"]


def test_a_pool_in_use_is_not_forgotten(a, make):
    make(a, disks=[{"size": "1GiB"}])
    with pytest.raises(errors.InvalidStateError):
        a.pools.delete("default")


def test_content_goes_in_and_comes_out_with_its_holes(a, tmp_path):
    a.pools.create_volume(name="raw", capacity="8MiB", format="raw")
    data = tmp_path / "data"
    with data.open("wb") as file:
        file.seek(5 * 2**20)
        file.write(b"end")
    with data.open("rb") as file:
        record = a.invoke("volume_upload", pool="default", volume="raw", source=file)
    assert record.allocated_bytes == 65536
    out = tmp_path / "out"
    with out.open("wb") as file:
        a.invoke("volume_download", pool="default", volume="raw", target=file)
    assert out.stat().st_size == 8 * 2**20
    assert out.read_bytes()[: data.stat().st_size] == data.read_bytes()


def test_an_upload_from_memory_is_what_is_downloaded(a):
    a.pools.create_volume(name="image", capacity="1MiB")
    data = bytes(range(256)) * 1000
    a.invoke("volume_upload", pool="default", volume="image", source=io.BytesIO(data))
    a.invoke("volume_clone", pool="default", volume="image", name="copy")
    a.invoke("volume_convert", pool="default", volume="image", name="converted", format="raw")
    for name, expected in (("copy", data), ("converted", data.ljust(2**20, b"\0"))):
        out = io.BytesIO()
        a.invoke("volume_download", pool="default", volume=name, target=out)
        assert out.getvalue() == expected
    a.invoke("volume_wipe", pool="default", volume="copy")
    assert a.pools.volume("copy").allocated_bytes == 0


def test_too_large_an_upload_changes_nothing(a):
    a.pools.create_volume(name="small", capacity="64KiB")
    with pytest.raises(errors.ResourceAllocationError):
        a.invoke("volume_upload", pool="default", volume="small", source=io.BytesIO(b"x" * 2**17))
    assert a.pools.volume("small").allocated_bytes == 0


def test_a_volume_in_use_is_not_deleted_and_not_written(a, make):
    make(a, disks=[{"size": "1GiB"}], start=True)
    a.pools.create_volume(name="base", capacity="1GiB")
    a.pools.create_volume(name="over", backing="base")
    for name in ("web1-vda.qcow2", "base"):
        with pytest.raises(errors.InvalidStateError):
            a.pools.delete_volume(name)
    with pytest.raises(errors.InvalidStateError):
        a.invoke("volume_upload", pool="default", volume="web1-vda.qcow2", source=io.BytesIO(b"x"))


def test_shrinking_must_be_said(a):
    a.pools.create_volume(name="v", capacity="2GiB")
    resize = lambda size, shrink: a.invoke("volume_resize", pool="default", volume="v", size=size, shrink=shrink)  # noqa: E731
    with pytest.raises(errors.InvalidSpecError, match=r"got '1 GiB \(.*\)', allowed: at least 2 GiB .* \(--shrink\)"):
        resize(2**30, False)
    assert resize(2**30, True).capacity_bytes == 2**30
    with pytest.raises(errors.ResourceAllocationError):
        resize(2**60, False)
