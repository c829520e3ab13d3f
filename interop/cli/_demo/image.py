"""A Pillow image becomes a torch batch, torch filters it, and Pillow draws the result."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image, ImageDraw

from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from interop.cli._demo.stage import Stage

_SIZE: Final = (640, 400)

#: Drawn this much larger, then scaled down: Pillow draws without antialiasing.
_FINER: Final = 3


def act(stage: Stage) -> None:
    """Find the edges of a picture by torch, mirrored, and save both."""
    stage.act("A Pillow image becomes a torch batch, and is drawn again")
    torch = load("torch")
    path = stage.saved("the picture, drawn by Pillow", "picture.png", _draw().save)
    image = Image.open(path)
    stage.say(f"image = Image.open({path.name!r}): {image.mode}, {image.width} x {image.height}.")
    names = {"image": image, "torch": torch, "np": np}
    by_hand = "torch.from_numpy(np.array(image))"
    pixels = stage.hop("Pillow -> torch", "image", "torch", by_hand=by_hand, names=names, writable=False).result
    seen = image.getpixel((42, 17))
    stage.check(tuple(pixels[17, 42].tolist()) == seen, f"the pixel at (42, 17) is {seen}, as Pillow says")
    batch = pixels.permute(2, 0, 1).unsqueeze(0)
    edges = _edges(torch, batch)
    stage.say(
        f"torch mirrors the batch {tuple(batch.shape)} and finds its edges by conv2d; edges is {tuple(edges.shape)}."
    )
    names["edges"] = edges
    drawn = stage.hop("torch -> numpy, for Pillow", "edges", "numpy", by_hand="edges.numpy()", names=names).result
    result = Image.fromarray(drawn)
    path = stage.saved("its edges, mirrored, by torch", "picture-edges.png", result.save)
    with Image.open(path) as again:
        stage.check(np.array_equal(np.asarray(again), drawn), "Pillow reads back from the file what torch computed")
    stage.saved("both, side by side", "picture-pair.png", _pair(image, result).save)


def _edges(torch: Any, batch: Any) -> Any:
    """Mirror, then the length of Sobel's gradient of each colour, as pixels again."""
    across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    kernels = torch.stack([across, across.T]).unsqueeze(1)
    light = batch.flip(-1).float().transpose(0, 1) / 255
    padded = torch.nn.functional.pad(light, (1, 1, 1, 1), mode="replicate")
    length = torch.nn.functional.conv2d(padded, kernels).square().sum(1).sqrt()
    return (length.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)


def _pair(left: Image.Image, right: Image.Image, *, gap: int = 16) -> Image.Image:
    pair = Image.new("RGB", (left.width + gap + right.width, left.height), "white")
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + gap, 0))
    return pair


def _draw() -> Image.Image:
    """A lake in the evening: lopsided, so that its mirror image shows."""
    width, height = (_FINER * side for side in _SIZE)
    picture = _gradient(width, height, (24, 32, 84), (255, 170, 110))
    draw = ImageDraw.Draw(picture)
    shore = 0.72 * height
    _disc(draw, 0.27 * width, 0.46 * height, 0.11 * height, (255, 226, 150))
    for base, step, colour in ((0.50, 3.1, (88, 70, 130)), (0.60, 5.3, (58, 50, 104)), (0.68, 7.9, (32, 34, 76))):
        draw.polygon(_ridge(width, height, base, step, shore), fill=colour)
    water = _gradient(width, int(height - shore) + 1, (96, 82, 138), (22, 28, 66))
    picture.paste(water, (0, int(shore)))
    _boat(draw, 0.66 * width, 0.84 * height, 0.16 * height)
    return picture.resize(_SIZE, Image.Resampling.LANCZOS)


def _gradient(width: int, height: int, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Image.Image:
    rows = np.linspace(top, bottom, height).round().astype("uint8")
    return Image.fromarray(np.repeat(rows[:, None], width, axis=1))


def _ridge(width: int, height: int, base: float, step: float, foot: float) -> list[tuple[float, float]]:
    along = [i / 240 for i in range(241)]
    line = [
        (x * width, height * (base - 0.07 * math.sin(step * x + step) - 0.03 * abs(math.sin(4 * step * x)) - 0.05 * x))
        for x in along
    ]
    return [(0, foot), *line, (width, foot)]


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _boat(draw: ImageDraw.ImageDraw, x: float, y: float, size: float) -> None:
    hull = [(x - size, y), (x + 1.1 * size, y), (x + 0.7 * size, y + 0.32 * size), (x - 0.7 * size, y + 0.32 * size)]
    draw.polygon(hull, fill=(236, 94, 78))
    foot = y - 0.1 * size
    draw.polygon([(x, foot), (x, y - 1.9 * size), (x + 1.05 * size, foot)], fill=(250, 244, 232))
    draw.polygon(
        [(x - 0.1 * size, foot), (x - 0.1 * size, y - 1.5 * size), (x - 0.7 * size, foot)], fill=(246, 200, 120)
    )
