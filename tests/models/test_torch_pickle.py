"""Pickles made to harm: nothing in them is run, and small files take little memory and time."""

import io
import os
import pickle
import tarfile
import time
import tracemalloc
import zipfile

import pytest
import torch

from revisage.errors import CheckpointError
from revisage.models.torch_pickle import unpickle


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def saved(path, content, zipped=True):
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def older_form(path, instructions: bytes):
    """A file of the form before 2020 whose content is these instructions."""
    file = io.BytesIO()
    for part in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {"little_endian": True}):
        pickle.dump(part, file, 2)
    file.write(b"\x80\x02" + instructions + b".")
    pickle.dump([], file, 2)
    path.write_bytes(file.getvalue())
    return path


def refused(path, match="refused|not a whole PyTorch file"):
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=match) as caught:
        unpickle(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert peak < 50e6


CALLS = [
    Call(os.system, "touch ran"),
    Call(eval, "open('ran', 'w')"),
    Call(exec, "open('ran', 'w')"),
    Call(os.rename, "w.pth", "ran"),
    Call(__import__, "antigravity"),
    Call(getattr, 1, "real"),
    Call(torch.load, "w.pth"),
    Call(torch.hub.load, "a/b", "c"),
]


@pytest.mark.parametrize("zipped", [True, False], ids=["present form", "older form"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.call[0].__name__)
@pytest.mark.parametrize("nest", [lambda it: it, lambda it: {"a": [({"b": it},)]}], ids=["alone", "nested"])
def test_code_is_refused_and_not_run(tmp_path, monkeypatch, zipped, call, nest):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "w.pth", nest(call), zipped)
    refused(tmp_path / "w.pth", "would run")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]


def test_code_is_refused_where_pytorch_was_told_to_run_it(tmp_path):
    """The list of safe names is one for the whole process; what another package put there does not count."""
    path = saved(tmp_path / "w.pth", {"a": Call(os.getenv, "HOME")})
    with torch.serialization.safe_globals([os.getenv]):
        refused(path, r"would run os\.getenv")


def test_code_in_a_pickle_before_the_weights_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    older_form(tmp_path / "w.pth", b"}")
    content = (tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Call(os.mkdir, "ran"), 2) + content)
    refused(tmp_path / "w.pth", "would run")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_no_file_of_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Call(os.mkdir, "ran")))
    refused(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_code_among_the_notes_of_a_lightning_run_is_refused(tmp_path):
    path = saved(tmp_path / "w.ckpt", {"state_dict": {}, "callbacks": Call(os.mkdir, "ran")})
    with pytest.raises(CheckpointError, match=r"would run posix\.mkdir|would run nt\.mkdir"):
        unpickle(path, stand_ins=True)


def test_tuples_that_unfold_without_end_are_refused(tmp_path):
    """As a key: their hash takes twice as many steps for each level. Fifty levels would take a year."""
    nested = b")q\x00" + b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(50))
    refused(older_form(tmp_path / "w.pth", b"}" + nested + b"K\x01s"))


def test_a_buffer_of_any_size_is_refused(tmp_path):
    """A call of bytearray with a number is allowed to weights by PyTorch: two gigabytes for forty bytes."""
    refused(older_form(tmp_path / "w.pth", b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R"), "bytearray")


def test_a_text_that_doubles_and_doubles_is_refused(tmp_path):
    text = b"c_codecs\nencode\nq\x000c_codecs\nencode\nX\x09\x00\x00\x00aaaaaaaaaX\x06\x00\x00\x00latin1\x86R"
    doubled = b"".join(b"q\x01h\x00h\x01X\x03\x00\x00\x00hex\x86R" for _ in range(40))
    refused(older_form(tmp_path / "w.pth", text + doubled))


def test_an_archive_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path):
    saved(tmp_path / "small.pth", {"a": torch.ones(3)})
    with (
        zipfile.ZipFile(tmp_path / "small.pth") as source,
        zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            padding = b"\x80\x02B" + (2 * 10**7).to_bytes(4, "little") + bytes(2 * 10**7) + b"0"
            target.writestr(name, padding + source.read(name)[2:] if name.endswith("data.pkl") else source.read(name))
    refused(tmp_path / "w.pth", "unpacks to more than")


def test_members_of_an_archive_that_lie_over_one_another_are_refused(tmp_path):
    """A thousand entries for the same bytes: the archive unpacks to a thousand times its size without compression."""
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("w/data.pkl", bytes(10_000))
        archive.filelist += archive.filelist * 100
    refused(tmp_path / "w.pth", "unpacks to more than")


def test_an_archive_with_names_that_lead_elsewhere_writes_nothing(tmp_path):
    (tmp_path / "own").mkdir()
    path = saved(tmp_path / "own" / "w.pth", {"a": torch.ones(3)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../ran", b"x")
    refused(path)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["own", "w.pth"]


def test_the_tar_files_of_the_first_pytorch_are_refused_and_not_unpacked(tmp_path):
    with tarfile.open(tmp_path / "w.pth", "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages", "../ran"):
            archive.addfile(tarfile.TarInfo(name))
    refused(tmp_path / "w.pth")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_million_lists_in_lists_are_no_harm(tmp_path):
    assert isinstance(unpickle(older_form(tmp_path / "w.pth", b"]" * 100_000 + b"a" * 99_999)), list)


def test_a_pickle_that_takes_more_than_it_has_is_damaged(tmp_path):
    refused(older_form(tmp_path / "w.pth", b"K\x01\x87"))
    refused(older_form(tmp_path / "w.pth", b"tR"))


def test_a_stated_length_is_not_reserved(tmp_path):
    refused(older_form(tmp_path / "w.pth", b"B\xff\xff\xff\x7fabc"))


def test_large_files_are_looked_through_quickly(tmp_path):
    """As many tensors as the largest published network has, twice."""
    taken = {}
    for count in (250, 2000):
        path = saved(tmp_path / f"{count}.pth", {f"layer.{i}.weight": torch.ones(1) for i in range(count)})
        times = []
        for _ in range(3):  # the least of them: the others may have been interrupted
            started = time.process_time()
            assert len(unpickle(path)) == count
            times.append(time.process_time() - started)
        taken[count] = min(times)
    assert taken[2000] < 24 * taken[250]  # eight times the tensors; 64 if every one looked through all
