"""Entry points of installed distributions are read once and kept, until something is installed, upgraded or removed."""

import os
import sys

import pytest

from novacron.plugins.entry_points import installed_entry_points

LONG_AGO = 1_700_000_000


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder of sys.path, with one distribution that was installed long ago."""
    folder = tmp_path / "site-packages"
    install(folder, "first")
    monkeypatch.setattr(sys, "path", [str(folder)])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def install(folder, name, changed=LONG_AGO):
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[novacron]\n{name} = json\n[other]\nunused = json\n")
    os.utime(folder, (changed, changed))


def found():
    return [(point.group, point.name, point.dist.name, point.dist.version) for point in installed_entry_points()]


def cache(tmp_path):
    return [*(tmp_path / "cache").rglob("*.json")]


def test_entry_points_are_kept_until_the_folder_changes(folder, tmp_path):
    first = ("novacron", "first", "first", "1.0")
    assert found() == [first]
    (folder / "first-1.0.dist-info" / "entry_points.txt").write_text("[novacron]\nedited = json\n")
    assert found() == [first], "the folder has not changed, so no distribution is read again"
    install(folder, "second", changed=LONG_AGO + 1)
    assert sorted(name for _, name, _, _ in found()) == ["edited", "second"]


def test_a_folder_that_has_just_changed_is_not_kept(folder, tmp_path):
    """Something else may be installed at the same time stamp."""
    os.utime(folder)
    assert len(found()) == 1
    assert cache(tmp_path) == []


@pytest.mark.parametrize("content", ["", "no JSON", "{}", '{"folders": 1, "points": []}'])
def test_a_damaged_cache_is_written_again(content, folder, tmp_path):
    before = found()
    (file,) = cache(tmp_path)
    file.write_text(content)
    assert found() == before
    assert '"first"' in file.read_text()


def test_a_cache_that_others_can_write_is_not_trusted(folder, tmp_path):
    """What it names is imported."""
    before = found()
    (file,) = cache(tmp_path)
    assert file.stat().st_mode & 0o077 == 0
    file.write_text(file.read_text().replace("json", "antigravity"))
    file.chmod(0o666)
    assert found() == before
    assert [point.value for point in installed_entry_points()] == ["json"]


def test_an_entry_point_loads_a_module_or_an_object_in_it(folder):
    (point,) = installed_entry_points().select(group="novacron")
    assert point.load().loads("1") == 1
    assert type(point)("novacron", "x", "json:JSONDecoder.decode [extra]").load() is point.load().JSONDecoder.decode
    assert installed_entry_points().select(group="other") == ()
