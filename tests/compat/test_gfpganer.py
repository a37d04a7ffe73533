"""What callers of the classic ``GFPGANer`` rely on, and what they suffered from."""

import cv2
import numpy as np
import pytest
import torch
from classic_files import GFPGANS, classic_file
from stand_ins import SIZE, Brighter, face_at

import revisage
from locations import ROOT
from revisage.compat import FaceRestoreHelper, GFPGANer
from revisage.errors import CheckpointError, InputError
from revisage.models.nets.restoreformer import RestoreFormer
from revisage.types import Face


class TestAsTheReferenceTestsItself:
    """The reference's own test of its ``utils``, with small networks instead of downloads."""

    @pytest.mark.parametrize("arch", ["clean", "original"])
    def test_a_portrait(self, tmp_path, arch):
        restorer = GFPGANer(str(classic_file(tmp_path, arch, 512)), 2, arch, 1, device="cpu")
        assert isinstance(restorer.gfpgan, GFPGANS[arch])
        assert isinstance(restorer.face_helper, FaceRestoreHelper)
        portrait = cv2.imread(str(ROOT / "tests" / "data" / "astronaut.jpg"))
        cropped, restored, result = restorer.enhance(portrait, has_aligned=False, paste_back=True)
        assert cropped[0].shape == restored[0].shape == (512, 512, 3)
        assert result.shape == (1024, 1024, 3)
        assert {image.dtype for image in (cropped[0], restored[0], result)} == {np.dtype(np.uint8)}

    @pytest.mark.parametrize("arch", ["clean", "bilinear", "original"])
    def test_an_aligned_face_is_not_pasted(self, tmp_path, arch):
        restorer = GFPGANer(classic_file(tmp_path, arch), arch=arch, device="cpu")
        cropped, restored, result = restorer.enhance(
            np.zeros((40, 40, 3), np.uint8), has_aligned=True, paste_back=False
        )
        assert cropped[0].shape == restored[0].shape == (32, 32, 3)
        assert result is None

    def test_a_restoreformer(self, tmp_path):
        restorer = GFPGANer(classic_file(tmp_path, "RestoreFormer"), arch="RestoreFormer", device="cpu")
        assert isinstance(restorer.gfpgan, RestoreFormer)
        _, restored, result = restorer.enhance(np.zeros((64, 64, 3), np.uint8), has_aligned=True)
        assert restored[0].shape == (512, 512, 3)
        assert result is None


def test_the_embedded_model_restores_the_photo_of_the_examples():
    photo = cv2.imread(str(ROOT / "examples" / "photo.jpg"))
    restorer = GFPGANer("embedded", upscale=1, device="cpu")
    cropped, restored, result = restorer.enhance(photo)
    assert callable(restorer.gfpgan)
    assert len(cropped) == len(restored) == 1
    assert result.shape == photo.shape
    x1, y1, x2, y2 = restorer.face_helper.det_faces[0][:4].astype(int)
    changed = np.abs(result.astype(int) - photo)
    assert changed[y1:y2, x1:x2].mean() > 1
    assert (changed[-20:] == 0).all()


class TestWeight:
    def middle(self, gfpganer, photo, **arguments):
        return int(gfpganer([face_at(30, 20, 80)], upscale=1).enhance(photo, **arguments)[2][60, 70, 0])

    def test_the_default_is_the_full_restoration(self, gfpganer, photo):
        assert self.middle(gfpganer, photo) == self.middle(gfpganer, photo, weight=0) == 40 + 64

    def test_more_weight_keeps_more_of_the_photo(self, gfpganer, photo):
        values = [self.middle(gfpganer, photo, weight=weight) for weight in (0.5, 0.6, 0.7, 0.8, 0.9, 1)]
        assert np.allclose(np.diff(values), -12.8, atol=1)
        assert values[-1] == 40

    def test_a_weight_out_of_range_is_refused(self, gfpganer, photo):
        with pytest.raises(InputError, match="weight"):
            gfpganer().enhance(photo, weight=2)


class TestPictures:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_colours_stay_in_order_and_the_depth_stays(self, gfpganer, photo, dtype):
        photo = photo.astype(dtype) * (257 if dtype == np.uint16 else 1)
        cropped, restored, result = gfpganer([face_at(30, 20, 80)]).enhance(photo)
        assert {image.dtype for image in (*cropped, *restored, result)} == {np.dtype(dtype)}
        assert (cropped[0] == photo[0, 0]).all()
        assert (result[:10, :10] == photo[0, 0]).all()
        assert (result[120, 140] > photo[0, 0]).all()

    def test_a_dark_image_of_16_bits_stays_dark(self, gfpganer):
        dark = np.full((120, 160, 3), 200, np.uint16)
        _, _, result = gfpganer(upscale=1).enhance(dark)
        assert (result == dark).all()

    def test_gray_becomes_three_channels(self, gfpganer, photo):
        gray = np.ascontiguousarray(photo[:, :, 0])
        cropped, _, result = gfpganer([face_at(30, 20, 80)]).enhance(gray)
        assert result.shape == (240, 320, 3)
        assert (result[..., 0] == result[..., 2]).all()
        assert cropped[0].shape == (SIZE, SIZE, 3)

    def test_gray_is_taken_aligned(self, gfpganer):
        _, restored, _ = gfpganer().enhance(np.full((30, 30), 100, np.uint8), has_aligned=True)
        assert restored[0].shape == (SIZE, SIZE, 3)

    def test_transparency_stays(self, gfpganer, photo):
        transparent = np.dstack([photo, np.full(photo.shape[:2], 77, np.uint8)])
        _, _, result = gfpganer([face_at(30, 20, 80)]).enhance(transparent)
        assert result.shape == (240, 320, 4)
        assert (result[..., 3] == 77).all()

    def test_an_aligned_face_that_is_not_square_is_not_distorted(self, gfpganer):
        cropped, restored, _ = gfpganer().enhance(np.zeros((40, 20, 3), np.uint8), has_aligned=True)
        assert cropped[0].shape == restored[0].shape == (SIZE, SIZE // 2, 3)

    def test_what_imread_returns_for_an_unreadable_file_is_refused(self, gfpganer):
        with pytest.raises(InputError, match="was it read"):
            gfpganer().enhance(None)

    def test_a_image_without_faces_is_enlarged(self, gfpganer, photo):
        assert gfpganer(upscale=1.5).enhance(photo)[2].shape == (180, 240, 3)


class TestFaces:
    def test_without_pasting_there_is_no_image(self, gfpganer, photo):
        cropped, restored, result = gfpganer([face_at(30, 20, 80)]).enhance(photo, paste_back=False)
        assert len(cropped) == len(restored) == 1
        assert result is None

    def test_only_the_center_face_on_request(self, gfpganer, photo):
        restorer = gfpganer([face_at(0, 0, 60), face_at(55, 30, 60, score=0.8)])
        cropped, _, _ = restorer.enhance(photo, only_center_face=True)
        assert len(cropped) == 1
        assert restorer.face_helper.det_faces[0][4] == pytest.approx(0.8)

    def test_the_helper_holds_what_was_done(self, gfpganer, photo):
        face = face_at(30, 20, 80)
        restorer = gfpganer([face], upscale=2)
        cropped, restored, result = restorer.enhance(photo)
        helper = restorer.face_helper
        assert helper.det_faces[0] == pytest.approx([*face.box, 0.9])
        assert (helper.all_landmarks_5[0] == face.landmarks).all()
        assert helper.affine_matrices[0] == pytest.approx(np.array([[0.8, 0, -24.44], [0, 0.8, -16.44]]), abs=0.01)
        assert helper.inverse_affine_matrices[0] == pytest.approx(
            np.array([[2.5, 0, 61.09], [0, 2.5, 41.09]]), abs=0.01
        )
        assert (helper.cropped_faces[0] == cropped[0]).all()
        assert (helper.restored_faces[0] == restored[0]).all()
        assert (helper.face_size, helper.upscale_factor) == ((SIZE, SIZE), 2)
        again = helper.paste_faces_to_input_image()
        assert np.abs(again.astype(int) - result).max() <= 2  # from crops rounded to 8 bits

    def test_the_helper_has_the_crops_of_faces_whose_landmarks_and_box_disagree(self, gfpganer, photo):
        near = face_at(30, 20, 80)
        face = Face(near.box, (near.landmarks - (70, 60)) * 0.3 + (70, 60), 0.9)  # three times too small
        restorer = gfpganer([face], upscale=1)
        cropped, _, result = restorer.enhance(photo)
        helper = restorer.face_helper
        assert np.abs(helper.paste_faces_to_input_image().astype(int) - result).max() <= 2
        helper.align_warp_face()
        assert (helper.cropped_faces[0] == cropped[0]).all()

    def test_a_face_that_the_network_failed_at_is_in_no_list_and_said_so(self, gfpganer, photo):
        class Broken(Brighter):
            def forward(self, x):
                return x * float("nan")

        with pytest.warns(RuntimeWarning, match="1 of 1 faces failed: the network's output is not finite"):
            cropped, restored, _ = gfpganer([face_at(30, 20, 80)], Broken(), upscale=1).enhance(photo)
        assert cropped == restored == []


class TestBackground:
    class Upsampler:
        """Notes how it is called, and gives back an image of one color, too small."""

        def __init__(self):
            self.calls = []

        def enhance(self, img, outscale):
            self.calls.append((img, outscale))
            return np.full((100, 100, 3), (1, 2, 3), np.uint8), "more"

    def test_the_background_comes_from_the_upsampler(self, gfpganer, photo):
        upsampler = self.Upsampler()
        _, _, result = gfpganer(upscale=2, bg_upsampler=upsampler).enhance(photo)
        ((given, scale),) = upsampler.calls
        assert (given == photo).all()
        assert scale == 2
        assert result.shape == (240, 320, 3)
        assert (result == (1, 2, 3)).all()

    def test_an_8_bit_background_fits_a_image_of_16_bits(self, gfpganer, photo):
        _, _, result = gfpganer(bg_upsampler=self.Upsampler()).enhance(photo.astype(np.uint16))
        assert (result == np.array([257, 514, 771], np.uint16)).all()

    @pytest.mark.parametrize("arguments", [{"paste_back": False}, {"has_aligned": True}])
    def test_it_is_not_asked_in_vain(self, gfpganer, photo, arguments):
        upsampler = self.Upsampler()
        gfpganer(bg_upsampler=upsampler).enhance(photo, **arguments)
        assert upsampler.calls == []

    def test_the_embedded_network_by_its_name_gives_what_a_restorer_gives(self):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (48, 64, 3), np.uint8)
        _, _, result = GFPGANer("embedded", upscale=2, bg_upsampler="embedded").enhance(image)
        expected = revisage.load("embedded", background="embedded")(image[:, :, ::-1], scale=2).image
        assert (result == expected[:, :, ::-1]).all()

    def test_a_name_that_is_set_later_is_refused(self, gfpganer, photo):
        restorer = gfpganer()
        restorer.bg_upsampler = "embedded"
        with pytest.raises(InputError, match="a name is given when a GFPGANer is made"):
            restorer.enhance(photo)

    def test_its_errors_come_out(self, gfpganer, photo):
        class Failing:
            def enhance(self, *_, **__):
                raise RuntimeError("CUDA out of memory")

        with pytest.raises(RuntimeError, match="out of memory"):
            gfpganer(bg_upsampler=Failing()).enhance(photo)


def test_errors_of_the_network_come_out_instead_of_the_unrestored_face(gfpganer, photo):
    class Starved(Brighter):
        def forward(self, _):
            raise RuntimeError("CUDA out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        gfpganer([face_at(30, 20, 80)], Starved()).enhance(photo)


@pytest.mark.parametrize("arch", ["clean", "original"])
def test_the_same_image_gives_the_same_result(tmp_path, arch):
    restorer = GFPGANer(classic_file(tmp_path, arch), arch=arch, device="cpu")
    face = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    first, second = (restorer.enhance(face, has_aligned=True)[1][0] for _ in range(2))
    assert (first == second).all()


def test_the_noise_of_that_test_would_be_seen(tmp_path):
    network = GFPGANer(classic_file(tmp_path, "clean"), device="cpu").gfpgan
    face = torch.zeros(1, 3, 32, 32)
    first, second = (network(face, randomize_noise=True)[0] for _ in range(2))
    assert (first - second).abs().max() > 1 / 255


def test_a_file_of_another_arch_is_refused_in_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="holds weights of a GFPGANv1Clean, not of a RestoreFormer"):
        GFPGANer(classic_file(tmp_path, "clean"), arch="RestoreFormer")


def test_the_device_can_be_a_torch_device(tmp_path):
    restorer = GFPGANer(classic_file(tmp_path, "clean"), device=torch.device("cpu"))
    assert restorer.device == torch.device("cpu")
