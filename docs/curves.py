"""Draws the picture of the page about gradients: what is learned across the border, and natively.

python docs/curves.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import torch

import interop

DOCS = Path(__file__).parent
INK, FAINT, OURS = "#1f2933", "#9aa5b1", "#2a6fdb"

Curves = dict[str, list[float]]


def huber(prediction: Any, target: Any) -> Any:
    """The loss, in jax."""
    error = jnp.abs(prediction - target)
    return jnp.where(error < 1, error**2 / 2, error - 0.5).mean()


def torch_learns(steps: int) -> Curves:
    """A model of torch by a loss of jax, and by torch's own."""
    losses = {"loss of jax": interop.via("jax", grad="bridge")(huber), "loss of torch": torch.nn.functional.huber_loss}
    curves: Curves = {}
    for name, loss_of in losses.items():
        generator = torch.Generator().manual_seed(0)
        x = torch.rand(256, 1, generator=generator) * 6 - 3
        y = torch.sin(2 * x) + x
        weights = [
            (torch.randn(shape, generator=generator) * scale).requires_grad_()
            for shape, scale in (((1, 32), 1.0), ((32,), 1.0), ((32, 1), 0.2))
        ]
        optimizer = torch.optim.Adam(weights, lr=0.02)
        curves[name] = []
        for _ in range(steps):
            first, bias, last = weights
            loss = loss_of(torch.tanh(x @ first + bias) @ last, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curves[name].append(loss.item())
    return curves


def jax_learns(steps: int) -> Curves:
    """Weights of jax by a model of torch inside of the loss, and by jax's own."""

    def of_torch(first: Any, bias: Any, last: Any, x: Any) -> Any:
        return torch.tanh(x @ first + bias) @ last

    def of_jax(first: Any, bias: Any, last: Any, x: Any) -> Any:
        return jnp.tanh(x @ first + bias) @ last

    models = {"model of torch": interop.via("torch", grad="bridge")(of_torch), "model of jax": of_jax}
    curves: Curves = {}
    for name, model in models.items():
        keys = jax.random.split(jax.random.key(0), 4)
        x = jax.random.uniform(keys[0], (256, 1)) * 6 - 3
        y = jnp.sin(2 * x) + x
        weights = [
            jax.random.normal(keys[1], (1, 32)),
            jax.random.normal(keys[2], (32,)),
            jax.random.normal(keys[3], (32, 1)) * 0.2,
        ]

        def loss_of(weights: Any, model: Any = model, x: Any = x, y: Any = y) -> Any:
            return huber(model(*weights, x), y)

        step = jax.jit(jax.value_and_grad(loss_of))
        curves[name] = []
        for _ in range(steps):
            loss, gradients = step(weights)
            weights = [w - 0.1 * g for w, g in zip(weights, gradients, strict=True)]
            curves[name].append(float(loss))
    return curves


def main() -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    with mpl.rc_context({"font.size": 10, "text.color": INK}):
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.6), layout="constrained")
        titles = "A loss of jax trains a model of torch", "A model of torch inside of a loss of jax"
        for place, title, curves in zip(axes, titles, (torch_learns(300), jax_learns(300)), strict=True):
            for (name, curve), (color, width, style) in zip(
                curves.items(), ((OURS, 5, "-"), (INK, 1.2, "--")), strict=True
            ):
                place.plot(curve, color=color, linewidth=width, linestyle=style, alpha=0.9, label=name)
            place.set(title=title, xlabel="step", yscale="log")
            place.legend(frameon=False)
            place.spines[["top", "right"]].set_visible(False)
            place.tick_params(colors=FAINT)
        axes[0].set_ylabel("loss")
        figure.savefig(DOCS / "_static" / "curves.png", dpi=144)


if __name__ == "__main__":
    main()
