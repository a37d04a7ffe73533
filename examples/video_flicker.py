"""Flicker of a restored video, frame by frame and as a video: a moving portrait with fresh noise in each frame."""

import sys
import time

import cv2
import numpy as np

import revisage
from revisage.evaluation.metrics.image import flicker, psnr
from revisage.restore.controls import Controls
from revisage.tracking.faces import restored_frames
from revisage.video.pixels import Colors, frame_of
from revisage.video.reading import Frame

number, restorer, moves = int(sys.argv[2]), revisage.load("embedded"), []
portrait = cv2.GaussianBlur(revisage.read_image(sys.argv[1]), (0, 0), 0.8)  # lest it shimmer when it shrinks
for t in range(number):  # image from portrait: the head sways, turns and comes nearer
    moves.append(cv2.getRotationMatrix2D((225, 115), 4 * np.sin(t / 23), 0.62 + 0.025 * np.sin(t / 17)))
    moves[-1][:, 2] += 25 * np.sin(t / 15) - 65, 8 * np.sin(t / 11)
truth = [cv2.warpAffine(portrait, move, (320, 240), borderMode=cv2.BORDER_REFLECT) for move in moves]
noise = np.random.default_rng(0).normal(0, 8, (number, *truth[0].shape))
degraded = np.clip(np.rint([cv2.GaussianBlur(one, (0, 0), 1) for one in truth] + noise), 0, 255).astype(np.uint8)
if len(sys.argv) > 3:  # compressed, as videos are: quality of JPEG
    degraded = [cv2.imdecode(cv2.imencode(".jpg", one, [1, int(sys.argv[3])])[1], 1) for one in degraded]
frames = [Frame(t, t, t / 25, frame_of(one, Colors(), "yuv420p"), one, one) for t, one in enumerate(degraded)]
ways = {
    "degraded": lambda: degraded,
    "frame by frame": lambda: [restorer(one, scale=1).image for one in degraded],
    "video": lambda: [one.restoration.image for one in restored_frames(frames, restorer, Controls(scale=1))],
}
for name, way in ways.items():
    start, faces, images = time.process_time(), [], way()
    for clip in (images, truth):  # the face, held still along the known movement (flags: inverse map, cubic)
        still = [cv2.warpAffine(*pair, (300, 240), flags=18) for pair in zip(clip, moves, strict=True)]
        faces.append([one[70:180, 185:262] for one in still])
    line = f"{name:15} flicker {flicker(*faces):5.2f}  PSNR {np.mean(list(map(psnr, *faces))):5.2f} dB"
    print(f"{line}  {(time.process_time() - start) / number:.2f} s of processor time a frame")
