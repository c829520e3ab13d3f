"""Real libraries that take any framework's arrays, with this library in the place of their own conversion.

They are installed from their packages (the group ``clients``), and patched by the few lines that stand here. What they
do wrong themselves has to be right then.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import subprocess
import sys
import textwrap
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from patience import PATIENCE

import interop


class TestGymnasium:
    """``array_conversion`` of its wrappers between frameworks."""

    @pytest.fixture(autouse=True)
    def patched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = pytest.importorskip("gymnasium.wrappers.array_conversion")

        def array_conversion(value: Any, xp: Any, device: Any = None) -> Any:
            return interop.convert_tree(value, xp, device=device)

        monkeypatch.setattr(module, "array_conversion", array_conversion)

    @staticmethod
    def env(observations: Any, info: Any) -> Any:
        import gymnasium

        class Env(gymnasium.Env):  # type: ignore[misc, type-arg, unused-ignore]
            observation_space = gymnasium.spaces.Box(-1, 1, (3,))
            action_space = gymnasium.spaces.Box(-1, 1, (3,))

            def reset(self, **_: Any) -> Any:
                return observations, info

            def step(self, action: Any) -> Any:
                assert isinstance(action, np.ndarray)
                observations[:] = action
                return observations, np.float32(1), np.bool_(False), False, info

        return Env()

    def test_an_environment_of_numpy_for_torch(self) -> None:
        from gymnasium.wrappers.array_conversion import ArrayConversion

        info = {"text": "hello", "n": 3, 5: (None, np.ones(2)), "made": collections.OrderedDict(a=np.zeros(1))}
        env = ArrayConversion(self.env(np.zeros(3, "f4")[::-1], info), env_xp=np, target_xp=torch)
        obs, got = env.reset()
        # Negative strides, at which torch's own from_dlpack ends the process.
        assert isinstance(obs, torch.Tensor)
        # A string isn't a generator's name, a key needn't be one, and the class stays.
        assert got["text"] == "hello"
        assert isinstance(got[5][1], torch.Tensor)
        assert type(got["made"]) is collections.OrderedDict
        obs, reward, done, *_ = env.step(torch.tensor([1.0, 2.0, 3.0]))
        assert obs.tolist() == [1, 2, 3]
        assert (reward, done) == (1.0, False)

    def test_what_jax_was_given_does_not_change_with_the_environments_buffer(self) -> None:
        jnp = pytest.importorskip("jax.numpy")
        from gymnasium.wrappers.array_conversion import ArrayConversion

        env = ArrayConversion(self.env(interop.empty_aligned(3, "float32"), {}), env_xp=np, target_xp=jnp)
        first = env.step(jnp.zeros(3))[0]
        env.step(jnp.ones(3))
        assert first.tolist() == [0, 0, 0]


def test_metrics_of_scikit_learn_with_mixed_arrays() -> None:
    pytest.importorskip("sklearn")
    code = """
        import numpy as np, torch, sklearn, interop
        from sklearn.utils import _array_api
        import sklearn.metrics._regression as regression, sklearn.metrics._classification as classification

        def move_to(*arrays, xp, device):
            moved = tuple(None if x is None else interop.convert(x, xp, device=device) for x in arrays)
            return moved[0] if len(moved) == 1 else moved

        _array_api.move_to = regression.move_to = classification.move_to = move_to
        with sklearn.config_context(array_api_dispatch=True):
            truth = np.array([3.0, -0.5, 2.0, 7.0])[::-1]
            guess = torch.tensor([8.0, 2.0, 0.0, 2.5], dtype=torch.float64)
            print(float(sklearn.metrics.r2_score(truth, guess)))
            print(float(sklearn.metrics.accuracy_score(np.array([0, 1, 1]), torch.tensor([0, 1, 0]))))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    r2, accuracy = map(float, done.stdout.split())
    assert r2 == pytest.approx(0.9486081370449679)
    assert accuracy == pytest.approx(2 / 3)


def test_to_numpy_of_skorch(monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("skorch.utils")

    def to_numpy(x: Any) -> Any:
        return interop.convert_tree(x, "numpy", device="cpu", detach=True)

    monkeypatch.setattr(utils, "to_numpy", to_numpy)
    module = torch.nn.Linear(2, 1)
    made = utils.to_numpy(collections.OrderedDict(y=module(torch.ones(3, 2)), x=[torch.ones(1)]))
    # Its own makes a dict of every mapping.
    assert type(made) is collections.OrderedDict
    assert made["y"].shape == (3, 1)
    # bfloat16 too, which its own can't take.
    assert utils.to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == "bfloat16"


def test_xp2torch_of_thinc(monkeypatch: pytest.MonkeyPatch) -> None:
    util = pytest.importorskip("thinc.util")

    def xp2torch(x: Any, requires_grad: bool = False, device: Any = None) -> Any:
        made = interop.to_torch(x, device=device)
        return made.requires_grad_() if requires_grad else made

    monkeypatch.setattr(util, "xp2torch", xp2torch)
    a = np.arange(4.0, dtype="f4")
    a.flags.writeable = False
    made = util.xp2torch(a, requires_grad=True)
    with torch.no_grad():
        made += 1
    # Readonly memory isn't written through.
    assert a.tolist() == [0, 1, 2, 3]
    assert util.convert_recursive(util.is_xp_array, util.xp2torch, [a[::-1], {"a": a}])[0].tolist() == [3, 2, 1, 0]


class Pair(NamedTuple):
    a: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any
    b: str = "s"


def test_what_apply_to_collection_of_lightning_is_for() -> None:
    apply = pytest.importorskip("lightning_utilities").core.apply_func
    batch = {"p": Pair(torch.ones(1), 1), "d": collections.defaultdict(list, x=[torch.zeros(2)]), "s": "text"}
    theirs = apply.apply_to_collection(batch, torch.Tensor, interop.to_numpy)
    ours = interop.convert_tree(batch, "numpy")
    assert repr(ours) == repr(theirs)
    # It can't rebuild what is frozen.
    made = interop.convert_tree(Frozen(torch.ones(2)), "numpy")
    assert made == Frozen(made.a)
    assert isinstance(made.a, np.ndarray)
