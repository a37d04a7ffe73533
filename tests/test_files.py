"""Pipes and devices are refused at once; files are written whole, with the permissions that the umask leaves."""

import os
import stat
from pathlib import Path

import pytest
import torch

from revisage.errors import ImageError, InputError, MissingWeightsError, RecipeError
from revisage.files import atomic_write, safe_read
from revisage.images import read_image
from revisage.models.build import read_state
from revisage.models.checkpoint import read_weights, save_weights
from revisage.models.torch_pickle import save_torch_weights
from revisage.training.data.crops import read_crop
from revisage.training.data.sources import TarSource
from revisage.training.recipe import read_recipe


@pytest.fixture
def pipe(tmp_path):
    """A pipe that nobody writes to: to open it waits for ever."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX only")
@pytest.mark.parametrize("read", [read_image, read_crop, read_recipe, lambda path: TarSource([path])])
def test_a_pipe_is_refused_and_not_waited_for(pipe, read):
    with pytest.raises(InputError, match="it is a pipe or a device, no file") as caught:
        read(pipe)
    assert str(pipe) in str(caught.value)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device of Unix")
@pytest.mark.parametrize(
    ("read", "error"), [(read_image, ImageError), (read_crop, RecipeError), (read_recipe, RecipeError)]
)
def test_a_device_without_end_is_refused(read, error):
    with pytest.raises(error, match="/dev/zero"):
        read(Path("/dev/zero"))


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX only")
@pytest.mark.parametrize("read", [read_weights, read_state])
def test_a_pipe_holds_no_weights(pipe, read):
    with pytest.raises(MissingWeightsError, match="pipe"):
        read(pipe)


def test_links_are_followed(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert safe_read(tmp_path / "link") == b"content"


def test_links_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    assert safe_read(tmp_path / "file", 7) == b"content"
    with pytest.raises(OSError, match="more than the 6"):
        safe_read(tmp_path / "file", 6)


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(OSError, match="no file has a name like this"):
        safe_read(tmp_path / "a\0b")


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def allowed(request):
    """What a umask leaves of the permissions to read and write."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def replace_privately(temporary):
    """As safetensors and ``tempfile`` do."""
    other = temporary.with_suffix(".other")
    other.touch(mode=0o600)
    other.replace(temporary)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("write", [lambda temporary: temporary.write_text("x"), replace_privately])
def test_permissions_are_those_of_the_umask(tmp_path, allowed, write):
    (tmp_path / "target").touch(mode=0o600)
    with atomic_write(tmp_path / "target") as temporary:
        write(temporary)
    assert stat.S_IMODE((tmp_path / "target").stat().st_mode) == allowed
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_permissions_of_weights(tmp_path, allowed, name):
    weights = {"a": torch.zeros(2)}
    if name.endswith(".pth"):
        save_torch_weights(tmp_path / name, weights)
    else:
        save_weights(tmp_path / name, weights)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == allowed
