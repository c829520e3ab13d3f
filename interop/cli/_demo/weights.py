"""The bfloat16 weights of a torch model, changed by numpy where they lie."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import ml_dtypes
import numpy as np

import interop
from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from interop.cli._demo.stage import Stage

#: How much of the weights numpy prunes.
_SHARE: Final = 0.5


def act(stage: Stage) -> None:
    """Prune a transformer block by numpy and let torch compute with it."""
    stage.act("The bfloat16 weights of a torch model become numpy arrays")
    torch = load("torch")
    block, x = _model(torch)
    weight = block.linear1.weight
    stage.say(
        f"block is a transformer block of {_count(block):,} weights; weight = block.linear1.weight, {_what(weight)}."
    )
    names = {"weight": weight, "torch": torch, "np": np, "ml_dtypes": ml_dtypes}
    there = stage.hop(
        "torch bfloat16 -> numpy",
        "weight",
        "numpy",
        by_hand="weight.view(torch.int16).numpy().view(ml_dtypes.bfloat16)",
        names=names,
    )
    _prune(stage, torch, block, x)
    stage.say("And back: array is what numpy got above.")
    back = stage.hop(
        "numpy bfloat16 -> torch",
        "array",
        "torch",
        by_hand="torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)",
        names=names | {"array": there.result},
    )
    stage.check(torch.equal(back.result, weight), "the tensor that came back is the pruned weight")


def _prune(stage: Stage, torch: Any, block: Any, x: Any) -> None:
    before, twin = block(x), copy.deepcopy(block)
    arrays = {name: interop.to_numpy(weight) for name, weight in block.named_parameters() if weight.ndim > 1}
    sizes = np.concatenate([np.abs(array).astype("float32").ravel() for array in arrays.values()])
    limit = np.quantile(sizes, _SHARE)
    stage.say(f"numpy prunes the smaller {_SHARE:.0%} of the weights, those below {limit:.4f}, in place:")
    stage.code("for array in arrays.values(): array[abs(array) < limit] = 0")
    for array in arrays.values():
        array[abs(array) < limit] = 0
    after = block(x)
    zeros = sum(int((weight == 0).sum()) for weight in block.parameters() if weight.ndim > 1)
    stage.show("torch", f"counts {zeros:,} zeros in {len(arrays)} matrices now, of {sizes.size:,} weights")
    stage.show("before", f"block(x)[0, 0, :4] = {_numbers(before)}")
    stage.show("after", f"block(x)[0, 0, :4] = {_numbers(after)}")
    for weight in twin.parameters():
        if weight.ndim > 1:
            weight[weight.abs() < torch.tensor(limit)] = 0
    stage.check(not torch.equal(before, after), "torch computes something else after numpy's change")
    stage.check(torch.allclose(after, twin(x)), "it computes what a copy computes that torch itself has pruned")


def _model(torch: Any) -> tuple[Any, Any]:
    """A transformer block for inference, and an input."""
    torch.manual_seed(0)
    block = torch.nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True, dtype=torch.bfloat16)
    return block.eval().requires_grad_(False), torch.randn(1, 16, 256).to(torch.bfloat16)


def _count(block: Any) -> int:
    return sum(weight.numel() for weight in block.parameters())


def _what(tensor: Any) -> str:
    return f"{tensor.dtype} {tuple(tensor.shape)}"


def _numbers(output: Any) -> str:
    return "[" + ", ".join(f"{value:.3f}" for value in output[0, 0, :4].tolist()) + "]"
