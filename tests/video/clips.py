"""Videos that the tests draw themselves: a disc with a texture, the "face", in a known movement on a plain ground."""

from fractions import Fraction

import av
import cv2
import numpy as np

from revisage.restore.align import TEMPLATE
from revisage.restore.pipeline import Restorer
from revisage.types import Face

SIZE = (96, 64)  # width, height
FACE = 40.0
"""Width of the square around the disc."""
CROP = 64


def middle_of(t, amplitude=10.0):
    """Where the face is in frame ``t``."""
    return np.array([48 + amplitude * np.sin(t / 6), 32 + 0.3 * amplitude * np.sin(t / 4)])


def face_at(middle, score=0.9):
    """The face as a perfect detector would see it."""
    scale = FACE / 512
    landmarks = (TEMPLATE - 255.5) * scale + middle
    box = np.concatenate([middle - FACE / 2, middle + FACE / 2])
    return Face(box.astype(np.float32), landmarks.astype(np.float32), score)


def texture(points):
    """Gray values in 0..1 of the face at points relative to its middle: smooth, so that it can be moved exactly."""
    x, y = points[..., 0], points[..., 1]
    return 0.5 + 0.15 * np.sin(x / 3) + 0.15 * np.cos(y / 4)


def image(t=0, *, size=SIZE, amplitude=10.0, noise=0.0, rng=None, face=True):
    """(H, W, 3) uint8 frame ``t``: a bluish disc on orange ground."""
    width, height = size
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) - middle_of(t, amplitude)
    inside = np.clip(FACE / 2 - np.hypot(grid[..., 0], grid[..., 1]) + 0.5, 0, 1)[..., None] * face
    values = texture(grid)[..., None] * np.array([0.8, 0.9, 1.2])
    frame = inside * values + (1 - inside) * np.array([0.75, 0.5, 0.2])
    if rng is not None:
        frame = frame + rng.normal(0, noise, frame.shape)
    return np.clip(np.rint(frame * 255), 0, 255).astype(np.uint8)


def clip(number, *, noise=0.0, seed=0, **how):
    rng = np.random.default_rng(seed)
    return [image(t, noise=noise, rng=rng, **how) for t in range(number)]


def find_disc(image, jitter=0.1):
    """Detector: the middle of what is bluer than red, off by some pixels that depend on the frame's noise."""
    image = np.asarray(image, np.float32) / np.iinfo(image.dtype).max
    blue = cv2.GaussianBlur(image[..., 2] - image[..., 0], (0, 0), 2) > 0
    if blue.sum() < 100:
        return []
    rows, columns = np.nonzero(blue)
    seed = int(np.asarray(image * 255, np.int64).sum())
    off = np.random.default_rng(seed).normal(0, jitter, 2)
    return [face_at(np.array([columns.mean(), rows.mean()]) + off)]


def answering_noise(crops):
    """Network: doubles the contrast of what is fine, noise and all, as restorers do."""
    images = crops.transpose(0, 2, 3, 1)
    smooth = np.stack([cv2.blur(image, (5, 5), borderType=cv2.BORDER_REFLECT_101) for image in images])
    return crops + (crops - smooth.transpose(0, 3, 1, 2))


def restorer(**changes):
    fields = {
        "name": "test",
        "detect": find_disc,
        "network": answering_noise,
        "size": CROP,
    }
    return Restorer(**{**fields, **changes})


def write_video(path, frames, *, codec="libx264", pixel_format="yuv420p", rate=25, ticks=None, time_base=None,
                rotation=0, mirrored=False, colors=None, metadata=None, sound=0.0, chapters=(), options=None,
                stream_metadata=None, container_options=None, sound_codec=None, sound_layout="mono"):  # fmt: skip
    """Encode ``frames``; ``ticks`` and ``time_base`` say when each is shown, ``sound`` is its length in seconds."""
    with av.open(str(path), "w", container_options=container_options or {}) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(codec, rate=rate, options=options or {"crf": "12"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.metadata.update(stream_metadata or {})
        if time_base:
            stream.codec_context.time_base = stream.time_base = time_base
        if rotation or mirrored:
            stream.set_display_rotation(rotation, hflip=mirrored)
        for name, value in (colors or {}).items():
            setattr(stream.codec_context, name, value)
        sound_codec = sound_codec or ("libopus" if str(path).endswith("webm") else "aac")
        audio = output.add_stream(sound_codec, rate=48000) if sound else None
        if audio:
            audio.layout = sound_layout
            audio.metadata["language"] = "deu"
        if chapters:
            output.set_chapters(chapters)
        for place, frame in enumerate(frames):
            coded = frame_from(frame, pixel_format, colors)
            coded.pts = ticks[place] if ticks else place
            coded.time_base = stream.codec_context.time_base if ticks else Fraction(1, rate)
            output.mux(stream.encode(coded))
        output.mux(stream.encode(None))
        if audio:
            write_sound(output, audio, sound, sound_layout)
    return path


def frame_from(image, pixel_format, colors):
    deep = image.dtype == np.uint16
    frame = av.VideoFrame.from_ndarray(image, format="rgb48le" if deep else "rgb24")
    known = colors or {}
    matrix = {1: "ITU709", 9: "BT2020"}.get(known.get("colorspace"), "ITU601")
    value_range = "JPEG" if known.get("color_range") == 2 else "MPEG"
    return frame.reformat(format=pixel_format, src_color_range="JPEG", dst_colorspace=matrix,
                          dst_color_range=value_range, interpolation="BICUBIC")  # fmt: skip


def write_sound(output, stream, seconds, layout="mono"):
    for start in range(0, round(48000 * seconds), 960):
        wave = 8000 * np.sin(np.arange(start, start + 960) * 0.05)
        samples = wave.astype(np.int16).repeat(2 if layout == "stereo" else 1)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts = 48000, start
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def decoded(path):
    """All frames of a video as RGB images, as they are coded."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(path):
    """When the frames are shown, in seconds, exactly."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def packets(path, kind):
    """The bytes and times of all packets of the first stream of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(bytes(one), one.pts * one.time_base) for one in container.demux(stream) if one.size]
