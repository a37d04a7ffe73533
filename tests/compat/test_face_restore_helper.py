"""facexlib's steps by hand, and the faults they had."""

import numpy as np
import pytest
from stand_ins import face_at

from revisage.compat import FaceRestoreHelper
from revisage.errors import ImageError, InputError
from revisage.images import read_image, write_image

SIDE = 64


def helper_with(*faces, upscale=2, image=None):
    helper = FaceRestoreHelper(upscale, SIDE, detect=lambda _: list(faces))
    helper.read_image(np.full((120, 160, 3), 100, np.uint8) if image is None else image)
    return helper


def prepared(*faces, **arguments):
    """Up to the crops, with a white restoration for each."""
    helper = helper_with(*faces, **arguments)
    helper.get_face_landmarks_5()
    helper.align_warp_face()
    for crop in helper.cropped_faces:
        helper.add_restored_face(np.full_like(crop, 255))
    helper.get_inverse_affine()
    return helper


def test_the_steps_lead_to_a_image():
    result = prepared(face_at(30, 20, 80)).paste_faces_to_input_image()
    assert result.shape == (240, 320, 3)
    assert (result[120, 140] == 255).all()
    assert (result[:, 230:] == 100).all()


def test_the_embedded_detector_is_there_without_a_download(monkeypatch, tmp_path):
    monkeypatch.setenv("REVISAGE_OFFLINE", "1")
    monkeypatch.setenv("REVISAGE_CACHE", str(tmp_path))
    helper = FaceRestoreHelper(1, device="cpu")
    helper.read_image(np.zeros((64, 64, 3), np.uint8))
    assert helper.get_face_landmarks_5() == 0
    assert {item.name for item in tmp_path.iterdir()} <= {"prepared"}


class TestFinding:
    def test_faces_come_as_lists_best_first(self):
        helper = helper_with(face_at(0, 0, 60), face_at(70, 30, 80, score=0.7))
        assert helper.get_face_landmarks_5() == 2
        assert [float(face[4]) for face in helper.det_faces] == pytest.approx([0.9, 0.7])
        assert [points.shape for points in helper.all_landmarks_5] == [(5, 2)] * 2

    @pytest.mark.parametrize(("choice", "score"), [("only_keep_largest", 0.7), ("only_center_face", 0.8)])
    def test_one_chosen_face_is_a_list_as_well(self, choice, score):
        faces = face_at(0, 0, 60), face_at(55, 35, 50, score=0.8), face_at(75, 35, 85, score=0.7)
        helper = helper_with(*faces)
        assert helper.get_face_landmarks_5(**{choice: True}) == 1
        assert isinstance(helper.det_faces, list)
        assert helper.det_faces[0][4] == pytest.approx(score)

    def test_small_faces_are_left_out_on_request(self):
        helper = helper_with(face_at(0, 0, 18), face_at(60, 30, 60))
        assert helper.get_face_landmarks_5(eye_dist_threshold=5) == 1

    def test_resize_changes_neither_score_nor_place(self):
        plain, resized = helper_with(face_at(30, 20, 80)), helper_with(face_at(30, 20, 80))
        plain.get_face_landmarks_5()
        resized.get_face_landmarks_5(resize=640)
        assert (plain.det_faces[0] == resized.det_faces[0]).all()

    def test_looking_twice_does_not_double_the_faces(self):
        helper = helper_with(face_at(30, 20, 80))
        assert [helper.get_face_landmarks_5() for _ in range(2)] == [1, 1]


class TestPasting:
    def test_twice_gives_the_same_twice(self):
        helper = prepared(face_at(30, 20, 80))
        before = [matrix.copy() for matrix in helper.inverse_affine_matrices]
        first, second = (helper.paste_faces_to_input_image() for _ in range(2))
        assert (first == second).all()
        assert (helper.inverse_affine_matrices[0] == before[0]).all()

    def test_what_is_not_changed_is_not_truncated_either(self):
        image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
        helper = helper_with(face_at(30, 20, 80), upscale=1, image=image)
        helper.get_face_landmarks_5()
        helper.align_warp_face()
        helper.add_restored_face(helper.cropped_faces[0])
        assert (helper.paste_faces_to_input_image() == image).all()

    def test_a_tiny_face_is_pasted(self):
        assert (prepared(face_at(70, 50, 6), upscale=1).paste_faces_to_input_image()[52, 72] > 150).all()

    def test_16_bits_stay_16_bits(self):
        helper = helper_with(face_at(30, 20, 80), image=np.full((120, 160, 3), 300, np.uint16))
        helper.get_face_landmarks_5()
        helper.align_warp_face()
        helper.add_restored_face(np.full((SIDE, SIDE, 3), 65535, np.uint16))
        result = helper.paste_faces_to_input_image()
        assert result.dtype == np.uint16
        assert (result[120, 140] == 65535).all()
        assert (result[0, 0] == 300).all()

    def test_another_background_is_brought_to_size(self):
        result = prepared(face_at(30, 20, 80)).paste_faces_to_input_image(
            upsample_img=np.zeros((500, 600, 3), np.uint8)
        )
        assert result.shape == (240, 320, 3)
        assert (result[0, 0] == 0).all()

    def test_a_missing_restoration_is_refused(self):
        helper = prepared(face_at(30, 20, 80))
        helper.restored_faces.clear()
        with pytest.raises(InputError, match="0 restored faces do not fit 1 crops"):
            helper.paste_faces_to_input_image()

    def test_a_restoration_of_another_size_is_refused(self):
        with pytest.raises(InputError, match=r"a restored face is \(64, 64\) BGR"):
            prepared(face_at(30, 20, 80)).add_restored_face(np.zeros((32, 32, 3), np.uint8))


class TestFiles:
    def test_a_path_is_read_and_crops_and_result_are_written(self, tmp_path):
        write_image(tmp_path / "in.png", np.full((120, 160, 3), (10, 20, 30), np.uint8))
        helper = FaceRestoreHelper(1, SIDE, detect=lambda _: [face_at(30, 20, 80)])
        helper.read_image(tmp_path / "in.png")
        assert (helper.input_img == (30, 20, 10)).all()
        helper.get_face_landmarks_5()
        helper.align_warp_face(str(tmp_path / "crop.jpg"))
        helper.add_restored_face(helper.cropped_faces[0])
        helper.paste_faces_to_input_image(str(tmp_path / "out.jpg"))
        assert (read_image(tmp_path / "crop_00.png") == (10, 20, 30)).all()
        assert (read_image(tmp_path / "out.png") == (10, 20, 30)).all()

    def test_an_unreadable_path_is_refused(self, tmp_path):
        with pytest.raises(ImageError, match="cannot read"):
            FaceRestoreHelper(1, SIDE, detect=list).read_image(tmp_path / "none.png")


def test_a_new_image_leaves_nothing_of_the_one_before():
    helper = prepared(face_at(30, 20, 80))
    helper.read_image(np.zeros((50, 60, 3), np.uint8))
    held = (helper.det_faces, helper.all_landmarks_5, helper.affine_matrices, helper.cropped_faces)
    assert not any((*held, helper.restored_faces, helper.inverse_affine_matrices))
    assert helper.paste_faces_to_input_image().shape == (100, 120, 3)


def test_clean_all_forgets_the_image():
    helper = prepared(face_at(30, 20, 80))
    helper.clean_all()
    with pytest.raises(InputError, match="call read_image first"):
        helper.get_face_landmarks_5()


@pytest.mark.parametrize("argument", [{"template_3points": True}, {"pad_blur": True}, {"crop_ratio": (1.25, 1)}])
def test_what_is_not_done_here_is_refused_at_once(argument):
    with pytest.raises(InputError, match=f"only the default of {next(iter(argument))}"):
        FaceRestoreHelper(2, detect=list, **argument)


def test_a_border_mode_that_is_not_kept_is_refused():
    with pytest.raises(InputError, match="border_mode is 'constant'"):
        helper_with(face_at(30, 20, 80)).align_warp_face(border_mode="reflect")


def test_the_template_is_where_landmarks_lie_in_a_crop():
    helper = prepared(face_at(30, 20, 80))
    matrix, points = helper.affine_matrices[0], helper.all_landmarks_5[0]
    assert points @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(helper.face_template, abs=0.01)


def test_landmarks_that_a_program_sets_itself_decide_where_the_crops_lie():
    helper = helper_with()
    helper.all_landmarks_5 = [face_at(30, 20, 80).landmarks]
    helper.align_warp_face()
    helper.add_restored_face(np.full_like(helper.cropped_faces[0], 255))
    assert (helper.paste_faces_to_input_image()[120, 140] == 255).all()
