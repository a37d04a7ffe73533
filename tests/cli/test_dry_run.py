"""``restore --dry-run`` as people see it: what would lack something, looked for once a photo."""

import PIL.Image
import pytest
from plain_restorer import UNCHANGED, photo

from revisage.batch import Options, collect
from revisage.cli.restore_files import check_files
from revisage.images.write import find_left_out


@pytest.mark.parametrize("strict", [False, True])
def test_every_photo_is_looked_at_once(tmp_path, monkeypatch, capsys, strict):
    looked: list[str] = []

    def look(path, extension):
        looked.append(path.name)
        return find_left_out(path, extension)

    for room in ("revisage.batch.photos", "revisage.images.write"):
        monkeypatch.setattr(f"{room}.find_left_out", look)
    for name in ("a.png", "b.png"):
        photo(tmp_path / "album" / name)
    (tmp_path / "album" / "a.cr2").touch()
    frames = [PIL.Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 200)]
    frames[0].save(tmp_path / "album" / "c.gif", save_all=True, append_images=frames[1:])
    options = Options(output=tmp_path / "out", format="jpg", strict=strict)
    assert check_files(UNCHANGED, collect(tmp_path / "album"), options) is strict
    assert looked == ["a.png", "b.png", "c.gif"]
    said = capsys.readouterr()
    assert "left out, as these formats are not read: 1 .cr2" in said.err
    assert ("1 further frame" in said.err) is strict
    assert ("would leave out: 1 further frame" in said.out) is not strict
    assert not (tmp_path / "out").exists()
