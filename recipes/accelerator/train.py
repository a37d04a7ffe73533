"""Train the embedded restorer on one accelerator in minutes: everything, degradations too, happens on the device.

    python recipes/accelerator/train.py DATA OUTPUT --coarse-seconds 180 --whole-seconds 340

It needs torch, OpenCV and files of `revisage` that need no more. DATA is a folder as `prepare.py` writes it: faces of
512 and of 256 pixels, validation pairs, the frozen networks of the losses, first weights, masks of scratches and dust.
First the coarse half learns faces of 128 pixels, then the whole network learns faces of 512 pixels. The clock rules:
learning rates follow the time, so that a run ends when its minutes are over. docs/notes/restorer.md tells what it gave.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch._functorch.config
from degrade import Degradation, Faces, share
from torch import Tensor, nn
from torch.nn import functional as F

from revisage.models.nets.discriminators import PatchDiscriminator, StyleGAN2Discriminator
from revisage.models.nets.dlib_face_net import DlibFaceNet, chips
from revisage.models.nets.restoration_unet import CoarseToFineUNet
from revisage.models.nets.vgg import VGG16Features
from revisage.training.losses.image import chroma_loss, ssim_shortfall
from revisage.training.optimizers import Muon

COARSE = {
    "widths": [80, 144, 224, 256],
    "blocks": [2, 3, 3, 2],
    "position_sizes": [0, 32, 16, 8],
    "attention": [0, 0, 1, 1],
    "normalized": [False, False, False, True],
}
FINE = {"widths": [32, 64, 96, 160, 160], "blocks": [1, 2, 2, 2, 2], "position_sizes": [0, 0, 32, 32, 0], "noise": 128}
COMPONENTS = ((193, 240, 24), (319, 240, 24), (257, 371, 30))
"""x, y and radius of eyes and mouth in an aligned face of 512 pixels."""


def read_images(folder: Path) -> Tensor:
    """All images of a folder, which have one size: (N, 3, S, S) uint8 RGB."""

    def read(path: Path) -> Tensor:
        return torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1)

    with ThreadPoolExecutor(16) as pool:
        return torch.stack(list(pool.map(read, sorted(folder.iterdir()))))


def read_state(path: Path) -> dict[str, Tensor]:
    """Weights of a .npz file; eight-bit ones are multiplied by their scales."""
    with np.load(path) as file:
        arrays = {key: torch.from_numpy(value) for key, value in file.items()}
    scales = {key.removesuffix(":scale"): arrays.pop(key) for key in list(arrays) if key.endswith(":scale")}
    return {key: value.float() * scales[key] if key in scales else value.float() for key, value in arrays.items()}


def grow(network: nn.Module, small: dict[str, Tensor]) -> None:
    """Begin with the weights of a narrower network: what is new adds nothing to what is old, so the output stays."""
    state = network.state_dict()
    for key, value in small.items():
        outputs = value.shape[0] if value.dim() else 0
        if value.dim() == 4 and state[key].shape != value.shape:
            inputs = value.shape[1]
            state[key][:outputs, inputs:] = 0
            state[key][:outputs, :inputs] = value
        elif value.dim():
            state[key][:outputs] = value
        else:
            state[key] = value
    network.load_state_dict(state)


def groups(network: nn.Module, base: float) -> list[dict[str, Any]]:
    """Muon for the hidden convolutions, AdamW for the first, the last, position maps, biases and norms."""
    hidden, others = [], []
    for key, parameter in network.named_parameters():
        inside = parameter.dim() == 4 and key.split(".")[0] in {"encoder", "decoder", "down", "up", "attention"}
        (hidden if inside else others).append(parameter)
    return [{"params": hidden, "muon": True, "base": base}, {"params": others, "muon": False, "base": base}]


def importance(size: int, emphasis: float, device: torch.device) -> Tensor:
    """(1, 1, size, size): 1, and more around eyes and mouth."""
    axis = (torch.arange(size, device=device) + 0.5) * 512 / size
    yy, xx = torch.meshgrid(axis, axis, indexing="ij")
    peaks = [torch.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * r * r)) for x, y, r in COMPONENTS]
    return 1 + emphasis * torch.stack(peaks).amax(0)[None, None]


class Perceptual(nn.Module):
    """Mean over stages of 1 - cosine of VGG16 features, weighted by place."""

    def __init__(self, vgg: VGG16Features) -> None:
        super().__init__()
        self.vgg = vgg

    def forward(self, restored: Tensor, gt: Tensor, weight: Tensor) -> Tensor:
        with torch.no_grad():
            targets = self.vgg(gt)
        stages = []
        for mine, theirs in zip(self.vgg(restored), targets, strict=True):
            dot = (mine * theirs).sum(1, keepdim=True, dtype=torch.float32)
            lengths = mine.square().sum(1, True, dtype=torch.float32) * theirs.square().sum(
                1, True, dtype=torch.float32
            )
            distance = 1 - dot * (lengths + 1e-6).rsqrt()
            stages.append((distance * F.adaptive_avg_pool2d(weight, distance.shape[-2:])).mean((1, 2, 3)))
        return torch.stack(stages).mean(0)


def crop(images: list[Tensor], size: int, face: tuple[int, int], jitter: int) -> list[Tensor]:
    """The same square of all: over the face (left, top) or, once in four, anywhere."""
    whole = images[0].shape[-1]
    if torch.rand(()) < 0.25:
        left, top = (int(torch.randint(whole - size + 1, ())) for _ in range(2))
    else:
        left, top = (min(max(at + int(torch.randint(-jitter, jitter + 1, ())), 0), whole - size) for at in face)
    return [image[..., top : top + size, left : left + size] for image in images]


def identity(descriptor: DlibFaceNet, restored: Tensor, gt: Tensor) -> Tensor:
    """(N,) Euclidean distances of face descriptors."""
    size = gt.shape[-1]
    with torch.autocast(gt.device.type, enabled=False):
        with torch.no_grad():
            theirs = descriptor(chips(gt.float(), size=size))
        mine = descriptor(chips(restored.float(), size=size))
        return ((mine - theirs).square().sum(1) + 1e-4).sqrt()


def pull(loss: Tensor, at: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(loss, at, retain_graph=True)
    return slope.float().norm()


def clip(parameters: list[nn.Parameter], largest: float = 1.0) -> None:
    """Limit the gradient; what is not finite becomes zero."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
    nn.utils.clip_grad_norm_(parameters, largest)


class Average:
    """Exponential moving average of the weights."""

    def __init__(self, network: nn.Module) -> None:
        self.weights = [value.detach().clone() for value in network.parameters()]
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float) -> None:
        self.steps += 1
        decay = min(decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.weights, [p.detach() for p in network.parameters()], 1 - decay)

    @torch.no_grad()
    def swap(self, network: nn.Module) -> None:
        for mine, theirs in zip(self.weights, network.parameters(), strict=True):
            kept = theirs.clone()
            theirs.copy_(mine)
            mine.copy_(kept)


def rate(progress: float, final: float) -> float:
    """Share of the learning rate: a warm-up, a plateau, half a cosine."""
    if progress < 0.02:
        return max(progress / 0.02, 0.02)
    if progress < 0.5:
        return 1.0
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min((progress - 0.5) / 0.5, 1)))


class Trainer:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments, self.device = arguments, torch.device(arguments.device)
        data, device = arguments.data, self.device
        self.start = time.time()
        self.log_file = (arguments.output / "log.jsonl").open("a")
        self.large = Faces(
            read_images(data / ("faces_512" if (data / "faces_512").is_dir() else "faces_512_halved")), device
        )
        self.small = Faces(read_images(data / "faces_256"), device)
        with np.load(data / "masks.npz") as masks:
            self.masks = {key: torch.from_numpy(value).to(device) for key, value in masks.items()}
        vgg, self.descriptor = VGG16Features(), DlibFaceNet()
        vgg.load_state_dict(read_state(data / "vgg16.npz"))
        self.descriptor.load_state_dict(read_state(data / "face_descriptor.npz"))
        half = torch.bfloat16 if device.type == "cuda" else torch.float32
        vgg.requires_grad_(False).to(device, half, memory_format=torch.channels_last)
        self.half = half
        self.descriptor.requires_grad_(False).to(device)
        torch.manual_seed(1)
        self.network = CoarseToFineUNet(COARSE, FINE)
        state = read_state(data / "first.npz")
        if arguments.weights:
            parts = sorted(arguments.weights.parent.glob(f"{arguments.weights.name}_*.npz"))
            state = {key: value for part in parts for key, value in read_state(part).items()}
            self.network.load_state_dict(state | dict(self.network.named_buffers()))  # noise
        else:
            grow(self.network, state)
        self.network.to(device, memory_format=torch.channels_last).train()
        self.perceptual = Perceptual(vgg)
        self.correct, self.refine, self.distance = (
            self.network.coarse.correction,
            self.network.fine.forward,
            self.perceptual,
        )
        if arguments.compile:
            torch._functorch.config.donated_buffer = False  # gradients are taken twice
            self.correct, self.refine = torch.compile(self.correct), torch.compile(self.refine)
            self.distance = torch.compile(self.perceptual)
        self.average = Average(self.network)
        self.images = self.seen = 0
        self.best = math.inf
        self.read_validation(data / "val")
        self.note(event="data", large=len(self.large.images), small=len(self.small.images), val=len(self.val_gt))

    def note(self, **values: object) -> None:
        line = json.dumps({"s": round(time.time() - self.start, 1), "images": self.images} | values)
        print(line, flush=True)
        self.log_file.write(line + "\n")
        self.log_file.flush()

    def read_validation(self, folder: Path) -> None:
        self.val_gt = read_images(folder / "gt").float() / 127.5 - 1
        self.val_lq = {}
        for kind in ("mild", "medium", "severe"):
            x = read_images(folder / kind).float()
            self.val_lq[kind] = F.interpolate(x, (512, 512), mode="bilinear").round() / 127.5 - 1

    @torch.no_grad()
    def validate(self) -> float:
        """Log the averaged weights' metrics; return the sum of perceptual distances, lower is better."""
        self.average.swap(self.network)
        self.network.eval()
        score = 0.0
        ones = torch.ones(1, 1, 320, 320, device=self.device)
        for kind, lq in self.val_lq.items():
            rows = []
            for at in range(0, len(lq), 8):
                x, gt = lq[at : at + 8].to(self.device), self.val_gt[at : at + 8].to(self.device)
                with torch.autocast(self.device.type, torch.bfloat16):
                    small, out = self.restore(x.contiguous(memory_format=torch.channels_last))
                face = [t[..., 120:440, 96:416].contiguous(memory_format=torch.channels_last) for t in (out, gt)]
                row = {"psnr": -10 * ((out.clamp(-1, 1) - gt) / 2).square().mean((1, 2, 3)).log10()}
                row["vgg"] = self.perceptual(face[0].to(self.half), face[1].to(self.half), ones.to(self.half))
                row["id"], row["id_in"] = identity(self.descriptor, out, gt), identity(self.descriptor, x, gt)
                small_gt = F.avg_pool2d(gt, 4)
                row["psnr_small"] = -10 * ((small - small_gt) / 2).square().mean((1, 2, 3)).log10()
                rows.append(row)
            values = {key: torch.cat([row[key].float() for row in rows]) for key in rows[0]}
            worse = int((values["id"] > values["id_in"]).sum())
            self.note(val=kind, worse=worse, **{key: round(float(v.mean()), 4) for key, v in values.items()})
            score += float(values["vgg"].mean()) if kind != "mild" else 0.0
        self.network.train()
        self.average.swap(self.network)
        return score

    def restore(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The coarse result (a quarter of the size) and the whole one."""
        pooled = F.avg_pool2d(x, 4)
        correction = self.correct(pooled)
        seen = x + F.interpolate(correction, scale_factor=4, mode="bilinear", align_corners=False)
        both = torch.cat([x, seen], 1).contiguous(memory_format=torch.channels_last)
        return (pooled + correction).float(), self.refine(both).float()

    def save(self, name: str) -> None:
        """The averaged weights, in float16, in parts below 16 MB."""
        keys = [key for key, _ in self.network.named_parameters()]
        parts: list[dict[str, np.ndarray]] = [{}]
        room = 14_000_000
        for key, value in zip(keys, self.average.weights, strict=True):
            array = value.detach().half().contiguous().cpu().numpy()
            if sum(a.nbytes for a in parts[-1].values()) + array.nbytes > room:
                parts.append({})
            parts[-1][key] = array
        for index, part in enumerate(parts):
            np.savez(self.arguments.output / f"{name}_{index}.npz", **part)

    @torch.no_grad()
    def sheet(self, kinds: tuple[str, ...], count: int) -> None:
        """Input, result, original."""
        self.average.swap(self.network)
        self.network.eval()
        for kind in kinds:
            rows = []
            for lq, gt in zip(self.val_lq[kind][:count], self.val_gt[:count], strict=True):
                with torch.autocast(self.device.type, torch.bfloat16):
                    out = self.restore(lq[None].to(self.device))[1][0]
                row = torch.cat([lq, out.cpu(), gt], 2).clamp(-1, 1)
                rows.append(((row + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()[:, :, ::-1])
            left, right = np.concatenate(rows[::2]), np.concatenate(rows[1::2])
            cv2.imwrite(str(self.arguments.output / f"{kind}.jpg"), np.concatenate([left, right], 1), [1, 88])
        self.network.train()
        self.average.swap(self.network)

    def run(self, seconds: float, optimizers: list, decay: float, final: float, step) -> None:
        """Steps until the time is over."""
        begin = last = time.time()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        count, sums, validated = 0, {}, begin
        while (progress := (time.time() - begin) / seconds) < 1 and count < self.arguments.max_steps:
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["base"] * rate(progress, final)
            for key, value in step(count).items():
                sums[key] = sums.get(key, 0) + value.detach()
            self.average.update(self.network, decay)
            count += 1
            if count % 100 == 0 or count == self.arguments.max_steps:
                values = {key: round(float(value) / 100, 4) for key, value in sums.items()}
                self.note(step=count, per_s=round((self.images - self.seen) / (time.time() - last), 1), **values)
                last, sums, self.seen = time.time(), {}, self.images
            if time.time() - validated > self.arguments.validate_seconds:
                self.validate_and_save()
                validated = time.time()
        self.validate_and_save()

    def validate_and_save(self) -> None:
        score = self.validate()
        self.save("ema")
        if score < self.best:
            self.best = score
            self.save("best")

    def train_coarse(self) -> None:
        batch, device = self.arguments.coarse_batch, self.device
        degrade = Degradation(256, self.masks)
        shares = share(batch, hard=0.34, full=0.2, medium=0.2, mild=0.08, old=0.18)
        weight = importance(128, 3.0, device).to(self.half)
        parameters = list(self.network.coarse.parameters())
        optimizer = Muon(groups(self.network.coarse, 8e-4), betas=(0.95, 0.99), weight_decay=0.0)
        per_set = batch * len(self.large.images) // (len(self.large.images) + len(self.small.images))

        def step(count: int) -> dict[str, Tensor]:
            with torch.no_grad():
                faces = torch.cat([self.large.draw(per_set, 256, 0.1), self.small.draw(batch - per_set, 256, 0.1)])
                gt, lq = degrade(faces[torch.randperm(batch, device=device)], shares)
                gt, lq = F.avg_pool2d(gt, 2), F.avg_pool2d(lq, 2).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16):
                restored = lq + self.correct(lq)
            inside = restored.to(self.half).contiguous(memory_format=torch.channels_last)
            pair = crop([inside, gt.to(self.half), weight], 96, (16, 24), 8)
            terms = {
                "pixel": (restored - gt).abs().mean(),
                "vgg": 2.0 * self.distance(*(t.contiguous(memory_format=torch.channels_last) for t in pair)).mean(),
                "id": identity(self.descriptor, restored, gt).mean(),
            }
            sum(terms.values()).backward()
            clip(parameters)
            optimizer.step()
            optimizer.zero_grad()
            self.images += batch
            return terms

        self.run(self.arguments.coarse_seconds, [optimizer], 0.998, 0.25, step)

    def train_whole(self) -> None:
        arguments, device, half = self.arguments, self.device, self.half
        batch = arguments.whole_batch
        detailed = max(batch * 5 // 8, 1)  # of 512 pixels; the others are compared at 256
        degrade = Degradation(512, self.masks)
        shares = share(detailed, hard=0.3, full=0.2, medium=0.2, mild=0.15, old=0.15)
        shares_small = share(batch - detailed, hard=0.4, medium=0.25, full=0.2, old=0.15)
        weights = {size: importance(size, 3.0, device).to(half) for size in (128, 256, 512)}
        patches = PatchDiscriminator(48, 3).to(device, memory_format=torch.channels_last)
        whole = StyleGAN2Discriminator(128, channel_multiplier=1, narrow=0.5).to(device)
        halves = groups(self.network.coarse, 1.5e-4) + groups(self.network.fine, 4e-4)
        optimizer = Muon(halves, betas=(0.95, 0.99), weight_decay=0.0)
        fused = device.type == "cuda"
        judges = [
            torch.optim.Adam([{"params": list(patches.parameters()), "base": 3e-4}], betas=(0.0, 0.99), fused=fused),
            torch.optim.Adam([{"params": list(whole.parameters()), "base": 1e-3}], betas=(0.0, 0.99), fused=fused),
        ]
        pulls = {"patches": 0.0, "whole": 0.0}
        ratios = {"patches": arguments.patch_ratio, "whole": arguments.face_ratio}
        channels_last = {"memory_format": torch.channels_last}

        def step(count: int) -> dict[str, Tensor]:
            with torch.no_grad():
                gt, lq = degrade(self.large.draw(detailed, 512, 0.5), shares)
                gt_small, lq_small = degrade(self.small.draw(batch - detailed, 512, 0.1), shares_small)
                lq = torch.cat([lq, lq_small]).contiguous(**channels_last)
                half_gt = torch.cat([F.avg_pool2d(gt, 2), F.avg_pool2d(gt_small, 2)])
                quarter_gt = F.avg_pool2d(half_gt, 2)
            with torch.autocast(device.type, torch.bfloat16):
                coarse, out = self.restore(lq)
            half_out = F.avg_pool2d(out, 2)
            quarter_out = F.avg_pool2d(half_out, 2)
            fine, small = out[:detailed], half_out[detailed:]
            fine_pair = crop([fine.to(half), gt.to(half), weights[512]], 320, (96, 120), 32)
            fine_pair = [t.contiguous(**channels_last) for t in fine_pair]
            small_pair = crop([small.to(half), half_gt[detailed:].to(half), weights[256]], 192, (32, 40), 16)
            small_pair = [t.contiguous(**channels_last) for t in small_pair]
            coarse_pair = crop([coarse.to(half), quarter_gt.to(half), weights[128]], 96, (16, 24), 8)
            a, b = detailed / batch, 1 - detailed / batch
            rebuilt = a * (fine - gt).abs().mean() + b * (small - half_gt[detailed:]).abs().mean()
            chroma = a * chroma_loss(fine, gt) + b * chroma_loss(small, half_gt[detailed:])
            vgg = a * self.distance(*fine_pair).mean() + b * self.distance(*small_pair).mean()
            same = identity(self.descriptor, half_out, half_gt).mean()
            at_coarse = (coarse - quarter_gt).abs().mean() + 2 * self.distance(
                *(t.contiguous(**channels_last) for t in coarse_pair)
            ).mean()
            half_lq = F.avg_pool2d(lq[detailed:], 2)
            worse = a * ssim_shortfall(fine, gt, lq[:detailed], 0.02)
            worse = worse + b * ssim_shortfall(small, half_gt[detailed:], half_lq, 0.02)
            comparison = rebuilt + 3.0 * chroma + 2.0 * vgg + 2.0 * worse + arguments.identity * same
            terms = {"pixel": rebuilt, "chroma": chroma, "vgg": vgg, "ssim": worse, "id": same, "coarse": at_coarse}
            with torch.autocast(device.type, torch.bfloat16):
                adversarial = {
                    "patches": sum(-judge.float().mean() for judge in patches(fine_pair[0].float())) / 3,
                    "whole": F.softplus(-whole(quarter_out).float()).mean(),
                }
            if count % 16 == 0:
                strength = pull(comparison, out)
                for key, loss in adversarial.items():
                    new = float(ratios[key] * strength / (pull(loss, out) + 1e-12))
                    pulls[key] = new if not pulls[key] else 0.8 * pulls[key] + 0.2 * new
            ramp = min(max((count - 200) / 300, 0.0), 1.0)
            loss = comparison + 0.5 * at_coarse + ramp * sum(pulls[key] * loss for key, loss in adversarial.items())
            loss.backward()
            clip(list(self.network.parameters()))
            optimizer.step()
            optimizer.zero_grad()
            for judge in judges:
                judge.zero_grad()
            with torch.autocast(device.type, torch.bfloat16):
                real, fake = patches(fine_pair[1].float()), patches(fine_pair[0].detach().float())
                patch_loss = (
                    sum(
                        F.relu(1 - r.float()).mean() + F.relu(1 + f.float()).mean()
                        for r, f in zip(real, fake, strict=True)
                    )
                    / 3
                )
                real_logits, fake_logits = whole(quarter_gt), whole(quarter_out.detach())
                whole_loss = F.softplus(-real_logits.float()).mean() + F.softplus(fake_logits.float()).mean()
            (patch_loss + whole_loss).backward()
            if count % 16 == 0:
                images = quarter_gt.detach().requires_grad_()
                (slope,) = torch.autograd.grad(whole(images).sum(), images, create_graph=True)
                (2.0 / 2 * 16 * slope.square().sum((1, 2, 3)).mean()).backward()
            clip([*patches.parameters(), *whole.parameters()], 100.0)
            for judge in judges:
                judge.step()
            self.images += batch
            return terms | {
                "d_patches": patch_loss,
                "d_whole": whole_loss,
                "w_patches": torch.tensor(pulls["patches"]),
                "w_whole": torch.tensor(pulls["whole"]),
            }

        self.run(arguments.whole_seconds, [optimizer, *judges], 0.999, 0.0, step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--weights", type=Path, help="go on from OUTPUT/ema of an earlier run")
    parser.add_argument("--coarse-seconds", type=float, default=180)
    parser.add_argument("--whole-seconds", type=float, default=340)
    parser.add_argument("--coarse-batch", type=int, default=96)
    parser.add_argument("--whole-batch", type=int, default=32)
    parser.add_argument("--validate-seconds", type=float, default=60)
    parser.add_argument("--max-steps", type=int, default=10**9)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--identity", type=float, default=1.5)
    parser.add_argument("--patch-ratio", type=float, default=0.3)
    parser.add_argument("--face-ratio", type=float, default=0.15)
    parser.add_argument("--sheet", type=int, default=16)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    trainer = Trainer(arguments)
    trainer.validate()
    if arguments.coarse_seconds:
        trainer.train_coarse()
    if arguments.whole_seconds:
        trainer.train_whole()
    if arguments.sheet:
        trainer.sheet(("severe", "medium"), arguments.sheet)
    if torch.cuda.is_available():
        trainer.note(event="done", peak_gb=round(torch.cuda.max_memory_allocated() / 2**30, 1))


if __name__ == "__main__":
    main()
