"""Color spaces of photos against Little CMS, an independent reader of the same profiles."""

import io
import struct

import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
from hypothesis import given
from hypothesis import strategies as st

from revisage.images.icc import (
    ADOBE_RGB_GAMMA,
    ADOBE_RGB_PRIMARIES,
    D65,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    XYZ_FROM_SRGB,
    make_rgb_profile,
    parse_color_space,
    read_curve,
    sample_transforms,
    xyz_from_rgb,
)

ADOBE_RGB = make_rgb_profile("Adobe RGB (1998)", ADOBE_RGB_GAMMA, primaries=ADOBE_RGB_PRIMARIES)
PROPHOTO = make_rgb_profile("ROMM RGB", 1.8, (0.3457, 0.3585), ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)))
DISPLAY_P3 = make_rgb_profile("Display P3", 2.2, primaries=((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)))
SPACES = pytest.mark.parametrize("icc", [ADOBE_RGB, PROPHOTO, DISPLAY_P3], ids=["Adobe RGB", "ProPhoto", "Display P3"])


def colors(count=4000):
    return np.random.default_rng(0).integers(0, 256, (1, count, 3), np.uint8)


def as_float(pixels):
    return (pixels / np.float32(255)).astype(np.float32)


def by_little_cms(pixels, source, target):
    intent = PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC
    return np.asarray(PIL.ImageCms.profileToProfile(PIL.Image.fromarray(pixels), source, target, intent)).astype(float)


def opened(icc):
    return PIL.ImageCms.ImageCmsProfile(io.BytesIO(icc))


def with_tags(icc, changed):
    """A profile with other contents for some tags (None: without them)."""
    (count,) = struct.unpack_from(">L", icc, 128)
    entries = [struct.unpack_from(">4sLL", icc, 132 + 12 * i) for i in range(count)]
    tags = {sign: icc[start : start + size] for sign, start, size in entries} | changed
    tags = {sign: content for sign, content in tags.items() if content is not None}
    table, body = struct.pack(">L", len(tags)), b""
    for sign, content in tags.items():
        table += struct.pack(">4sLL", sign, 132 + 12 * len(tags) + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    data = icc[:128] + table + body
    return struct.pack(">L", len(data)) + data[4:]


def parametric(kind, *numbers):
    return b"para" + struct.pack(f">LHH{len(numbers)}l", 0, kind, 0, *(round(number * 65536) for number in numbers))


def gray_profile(gamma):
    rgb = with_tags(ADOBE_RGB, dict.fromkeys([b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]))
    rgb = with_tags(rgb, {b"kTRC": b"curv" + struct.pack(">LLHxx", 0, 1, round(gamma * 256))})
    return rgb[:16] + b"GRAY" + rgb[20:]


def table_profile(icc):
    """The same colors as tables alone, as scanners and printers have them: mft2, 17 colors a side, in Lab."""
    lab = PIL.ImageCms.createProfile("LAB")
    steps = np.rint(np.linspace(0, 255, 17)).astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    build, intent = PIL.ImageCms.buildTransform, PIL.ImageCms.Intent.RELATIVE_COLORIMETRIC

    def table(values):
        head = b"mft2" + struct.pack(">LBBBx9l", 0, 3, 3, 17, *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536))
        straight = struct.pack(">2H", 0, 65535) * 3
        return head + struct.pack(">HH", 2, 2) + straight + values.astype(">u2").tobytes() + straight

    # Lab of 16 bits in these tables: L 0..100 -> 0..65280, a and b -128..127 -> 0..65280 (ICC.1:2022, 6.3.4.2).
    there = build(opened(icc), lab, "RGB", "LAB", intent).point(PIL.Image.fromarray(grid))
    stored = np.asarray(there).copy()
    stored[..., 1:] ^= 128  # Pillow holds a and b with a sign
    a_to_b = table(stored.reshape(-1, 3).astype(np.uint32) * 256)
    asked = grid.copy()
    asked[..., 1:] ^= 128
    source = PIL.Image.frombytes("LAB", asked.shape[1::-1], asked.tobytes())
    back = np.asarray(build(lab, opened(icc), "LAB", "RGB", intent).point(source))
    b_to_a = table(back.reshape(-1, 3).astype(np.uint32) * 257)
    made = with_tags(
        icc, dict.fromkeys([b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]) | {b"A2B0": a_to_b, b"B2A0": b_to_a}
    )
    return made[:20] + b"Lab " + made[24:]


class TestProfilesOfPrimaries:
    @SPACES
    def test_to_srgb_as_little_cms_has_it(self, icc):
        ours = parse_color_space(icc).to_srgb(as_float(colors())) * 255
        theirs = by_little_cms(colors(), opened(icc), PIL.ImageCms.createProfile("sRGB"))
        assert np.abs(ours - theirs).max() < 1  # theirs is rounded, and not to the nearest

    @SPACES
    def test_from_srgb_as_little_cms_has_it(self, icc):
        ours = parse_color_space(icc).from_srgb(as_float(colors())) * 255
        theirs = by_little_cms(colors(), PIL.ImageCms.createProfile("sRGB"), opened(icc))
        # Next to black, where the curve is steep, the 16 bits that Little CMS computes with show.
        assert np.quantile(np.abs(ours - theirs), 0.999) < 1

    @SPACES
    def test_there_and_back(self, icc):
        space = parse_color_space(icc)
        assert np.abs(space.to_srgb(space.from_srgb(as_float(colors()))) - as_float(colors())).max() < 5e-4

    @SPACES
    def test_gray_stays_gray(self, icc):
        gray = np.linspace(0, 1, 256, dtype=np.float32)[None, :, None].repeat(3, 2)
        assert np.ptp(parse_color_space(icc).to_srgb(gray), axis=2).max() < 1e-3

    def test_srgb_is_none(self):
        assert parse_color_space(PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()) is None
        assert parse_color_space(b"") is None

    def test_gamma_2_2_is_not_srgb(self):
        assert parse_color_space(make_rgb_profile("gamma", 2.2)) is not None

    @pytest.mark.parametrize("gamma", [1.0, 1.8, 2.2])
    def test_of_gray(self, gamma):
        gray = np.arange(256, dtype=np.uint8)[None]
        ours = parse_color_space(gray_profile(gamma)).to_srgb(as_float(gray[..., None].repeat(3, 2)))
        assert np.abs(ours[..., 0] - SRGB_CURVE.from_linear(as_float(gray).astype(float) ** gamma)).max() < 2e-3
        assert (ours == ours[..., :1]).all()

    def test_matrix_of_srgb(self):
        assert np.abs(xyz_from_rgb(D65, SRGB_PRIMARIES) - XYZ_FROM_SRGB).max() < 3e-4


CURVES = {
    "para 0": parametric(0, 2.2),
    "para 1": parametric(1, 2.2, 0.9, 0.1),
    "para 2": parametric(2, 2.2, 0.9, 0.05, 0.02),
    "para 3": parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045),
    "para 4": parametric(4, 2.4, 0.9, 0.055, 0.07, 0.045, 0.01, 0.005),
    "straight": b"curv" + struct.pack(">LL", 0, 0),
    "gamma": b"curv" + struct.pack(">LLH", 0, 1, 461),
    "table": b"curv" + struct.pack(">LL9H", 0, 9, *(round(65535 * (i / 8) ** 2) for i in range(9))),
}


class TestCurves:
    @pytest.mark.parametrize("content", CURVES.values(), ids=CURVES)
    def test_every_kind_as_little_cms_has_it(self, content):
        icc = with_tags(make_rgb_profile("any", 1.0), dict.fromkeys([b"rTRC", b"gTRC", b"bTRC"], content))
        gray = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, 2)
        ours = parse_color_space(icc)
        theirs = by_little_cms(gray, opened(icc), PIL.ImageCms.createProfile("sRGB"))
        ours = as_float(gray) if ours is None else ours.to_srgb(as_float(gray))
        assert np.abs(ours * 255 - theirs).max() < 1.5

    @pytest.mark.parametrize("content", CURVES.values(), ids=CURVES)
    def test_back_is_the_inverse(self, content):
        curve, stored = read_curve(content), np.linspace(0.12, 1, 500)
        assert np.abs(curve.from_linear(curve.to_linear(stored)) - stored).max() < 1e-3

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"curv",
            b"curv" + struct.pack(">LL", 0, 2**31),
            b"curv" + struct.pack(">LL3H", 0, 3, 0, 60_000, 50_000),
            b"curv" + struct.pack(">LLH", 0, 1, 0),
            parametric(9, 1.0),
            parametric(0, -1.0),
            parametric(3, 2.4, 0.0, 0.0, 0.1, 0.1),
        ],
    )
    def test_unusable_curves_are_left_alone(self, content):
        assert parse_color_space(with_tags(ADOBE_RGB, {b"gTRC": content})) is None


class TestTables:
    def test_profile_without_primaries_goes_through_a_grid(self):
        icc = table_profile(ADOBE_RGB)
        ours, exact = parse_color_space(icc), parse_color_space(ADOBE_RGB)
        pixels = as_float(colors())
        theirs = by_little_cms(colors(), opened(icc), PIL.ImageCms.createProfile("sRGB"))
        assert np.abs(ours.to_srgb(pixels) * 255 - theirs).mean() < 1
        assert np.abs(ours.to_srgb(pixels) - exact.to_srgb(pixels)).mean() * 255 < 3  # the table itself is coarse
        assert np.abs(ours.to_srgb(ours.from_srgb(pixels)) - pixels).mean() * 255 < 3

    @SPACES
    def test_grid_comes_near_the_exact_way(self, icc):
        pixels, exact = as_float(colors()), parse_color_space(icc)
        there, back = sample_transforms(icc)
        assert np.abs(there(pixels) - exact.to_srgb(pixels)).mean() * 255 < 0.5
        assert np.abs(back(pixels) - exact.from_srgb(pixels)).mean() * 255 < 0.5

    def test_scanner_profile_without_a_way_back_is_left_alone(self):
        assert parse_color_space(with_tags(table_profile(ADOBE_RGB), {b"B2A0": None})) is None


class TestCorrection:
    @SPACES
    def test_none_leaves_every_bit(self, icc):
        space, before = parse_color_space(icc), as_float(colors())
        seen = space.to_srgb(before)
        assert np.array_equal(space.apply_correction(before, seen, seen), before)

    @SPACES
    def test_within_srgb_the_result_is_the_networks(self, icc):
        """What the network returns is what the photo shows, translated."""
        space = parse_color_space(icc)
        before, after = space.from_srgb(as_float(colors())), as_float(colors())[:, ::-1].copy()
        result = space.apply_correction(before, space.to_srgb(before), after)
        assert np.abs(space.to_srgb(result) - after).max() < 2e-3

    def test_result_is_within_range(self):
        space, before = parse_color_space(PROPHOTO), as_float(colors())
        result = space.apply_correction(before, space.to_srgb(before), as_float(colors())[:, ::-1].copy())
        assert result.dtype == np.float32
        assert result.min() >= 0
        assert result.max() <= 1


@given(st.data())
def test_damaged_profiles_are_left_alone(data):
    icc = bytearray(data.draw(st.sampled_from([ADOBE_RGB, gray_profile(1.8)])))
    for _ in range(data.draw(st.integers(1, 6))):
        icc[data.draw(st.integers(0, len(icc) - 1))] = data.draw(st.integers(0, 255))
    space = parse_color_space(bytes(icc[: data.draw(st.integers(0, len(icc)))]))
    if space is not None:
        with np.errstate(all="ignore"):
            assert np.isfinite(space.from_srgb(space.to_srgb(as_float(colors(50))))).all()
