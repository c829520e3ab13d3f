"""Which calls of numpy, pandas, scipy and others take an array of bfloat16: each is made, and its result compared.

python docs/refresh.py takers
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any, Literal

import ml_dtypes
import numpy as np

Answer = Literal["yes", "no", "wrong"]

#: Rows and columns: sums of so many small integers are beyond 256, where bfloat16 has no odd numbers any more.
SIZE = 128

#: A number among them.
LITTLE = 2

#: As many letters of an error as a cell of a table has room for.
ROOM = 60

#: Relative error of one rounding to bfloat16, and room for a few of them.
TOLERANCE = 2**-8 * 4


@dataclass(frozen=True)
class Taker:
    """A call of a library, given a matrix, and what a reader knows it by."""

    library: str
    shown: str
    call: Callable[[Any], Any]

    @property
    def module(self) -> str:
        return {"opencv": "cv2", "Pillow": "PIL", "scikit-learn": "sklearn"}.get(self.library, self.library)

    @property
    def distribution(self) -> str:
        return {"opencv": "opencv-python-headless", "Pillow": "pillow"}.get(self.library, self.library)


def _of_axes(draw: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    def drawn(x: Any) -> Any:
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots()
        try:
            draw(axes, x)
            figure.savefig(io.BytesIO(), format="svg")
        finally:
            plt.close(figure)

    return drawn


def _seaborn(name: str) -> Callable[[Any], Any]:
    def draw(axes: Any, x: Any) -> Any:
        getattr(_module("seaborn"), name)(x[:9] if name == "heatmap" else x[0], ax=axes)

    return _of_axes(draw)


def _saved(x: Any) -> Any:
    file = io.BytesIO()
    np.save(file, x)
    file.seek(0)
    return np.load(file)


def _sklearn(module: str, name: str, *args: Any, **options: Any) -> Callable[[Any], Any]:
    def call(x: Any) -> Any:
        estimator = getattr(importlib.import_module(f"sklearn.{module}"), name)(*args, **options)
        if hasattr(estimator, "fit_transform"):
            return estimator.fit_transform(x)
        return estimator.fit(x, range(len(x))).predict(x)

    return call


def _module(name: str) -> Any:
    return importlib.import_module(name)


TAKERS = (
    Taker("numpy", "`+`, `*`, `np.exp`, comparisons", lambda x: np.exp(x / 8 + 1) * (x > LITTLE)),
    Taker("numpy", "`@`", lambda x: x @ x),
    Taker("numpy", "`.sum()`, `.mean()`, `.std()`", lambda x: x.mean()),
    Taker("numpy", '`.mean(dtype="float32")`', lambda x: x.mean(dtype="float32")),
    Taker("numpy", "`.max()`, `np.median`", lambda x: [x.max(), np.median(x)]),
    Taker("numpy", "`np.sort`, `np.argsort`, `np.unique`", lambda x: [*np.sort(x.ravel()), *np.unique(x)]),
    Taker("numpy", "`np.linalg.svd`, `solve`", lambda x: np.linalg.svd(x[:9, :9])[1]),
    Taker("numpy", "`np.fft.fft`", lambda x: np.abs(np.fft.fft(x))),
    Taker("numpy", "`np.einsum`", lambda x: np.einsum("ij,jk", x, x)),
    Taker("numpy", "`np.save` and `np.load`", _saved),
    Taker("matplotlib", "`plot`, `scatter`", _of_axes(lambda axes, x: (axes.plot(x[0]), axes.scatter(x[0], x[1])))),
    Taker("matplotlib", "`hist`", _of_axes(lambda axes, x: axes.hist(x[0]))),
    Taker("matplotlib", "`imshow`", _of_axes(lambda axes, x: axes.imshow(x))),
    Taker("seaborn", "`heatmap`", _seaborn("heatmap")),
    Taker("seaborn", "`histplot`", _seaborn("histplot")),
    Taker("pandas", "`DataFrame(a)`, `.mean()`", lambda x: _module("pandas").DataFrame(x).mean().to_numpy()),
    Taker("pandas", "`.describe()`", lambda x: _module("pandas").DataFrame(x).describe().to_numpy()),
    Taker("pandas", "`.groupby(...).mean()`", lambda x: _module("pandas").DataFrame(x).groupby(0).mean().to_numpy()),
    Taker("pandas", "`.sort_values(...)`", lambda x: _module("pandas").DataFrame(x).sort_values(0).to_numpy()),
    Taker("scipy", "`stats.describe`, `stats.ttest_1samp`", lambda x: _module("scipy.stats").describe(x).mean),
    Taker("scipy", "`linalg.svd`, `linalg.solve`", lambda x: _module("scipy.linalg").svdvals(x[:9, :9])),
    Taker("scipy", "`fft.fft`", lambda x: np.abs(_module("scipy.fft").fft(x))),
    Taker("scipy", "`signal.convolve`", lambda x: _module("scipy.signal").convolve(x[0], x[1])),
    Taker("scipy", "`ndimage.gaussian_filter`", lambda x: _module("scipy.ndimage").gaussian_filter(x, 1)),
    Taker("scipy", "`sparse.csr_array`", lambda x: _module("scipy.sparse").csr_array(x).toarray()),
    Taker("scikit-learn", "`StandardScaler`", _sklearn("preprocessing", "StandardScaler")),
    Taker("scikit-learn", "`PCA`", lambda x: np.abs(_sklearn("decomposition", "PCA", 2)(x))),
    Taker("scikit-learn", "`LinearRegression`", _sklearn("linear_model", "LinearRegression")),
    Taker(
        "scikit-learn", "`RandomForestClassifier`", _sklearn("ensemble", "RandomForestClassifier", 3, random_state=0)
    ),
    Taker("opencv", "`cv2.blur`, `cv2.resize`", lambda x: _module("cv2").blur(x, (3, 3))),
    Taker("Pillow", "`Image.fromarray`", lambda x: np.asarray(_module("PIL.Image").fromarray(x))),
    Taker("pyarrow", "`pa.array`", lambda x: _module("pyarrow").array(x[0]).to_numpy()),
    Taker("polars", "`pl.Series`, `.mean()`", lambda x: _module("polars").Series(x[0]).mean()),
    Taker("xarray", "`DataArray(a).mean()`", lambda x: _module("xarray").DataArray(x).mean().item()),
)


def ask(taker: Taker) -> tuple[Answer, str]:
    """Make the call with bfloat16 and with float32, and say whether both gave the same, and what was said if not."""
    exact = np.random.default_rng(0).integers(1, 9, (SIZE, SIZE)).astype("float32")
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        expected = taker.call(exact)
        try:
            given = taker.call(exact.astype(ml_dtypes.bfloat16))
        except Exception as err:  # noqa: BLE001 - whatever a library says of a type that it does not know
            return "no", f"{type(err).__name__}: {_short(err)}"
        if expected is None:
            return "yes", ""
        try:
            same = np.allclose(_numbers(given), _numbers(expected), rtol=TOLERANCE, atol=TOLERANCE)
        except (TypeError, ValueError):
            return "wrong", f"gives {'None' if given is None else getattr(given, 'dtype', type(given).__name__)}"
    return ("yes", "") if same else ("wrong", f"{_one(given)} for {_one(expected)}")


def _numbers(x: Any) -> Any:
    if x is None:
        msg = "no numbers"
        raise TypeError(msg)
    return np.asarray(x).astype("float64")


def _one(x: Any) -> str:
    return f"{_numbers(x).ravel()[-1]:.4g}"


def _short(err: Exception) -> str:
    words = " ".join(str(err).replace("> ", "").split()).replace("|", "/")
    return words if len(words) <= ROOM else f"{words[:ROOM].rpartition(' ')[0]} ..."


def is_here(taker: Taker) -> bool:
    return importlib.util.find_spec(taker.module) is not None


def measured() -> dict[str, dict[str, str]]:
    """Return what each call that can be made here answers."""
    found = {}
    for taker in TAKERS:
        if is_here(taker):
            answer, said = ask(taker)
            version = importlib.metadata.version(taker.distribution)
            found[f"{taker.library} {taker.shown}"] = {"version": version, "answer": answer, "said": said}
    return found


def table(found: dict[str, dict[str, str]]) -> str:
    lines = ["| library | call | takes bfloat16 | else |", "|---|---|---|---|"]
    for taker in TAKERS:
        row = found[f"{taker.library} {taker.shown}"]
        said = row["said"].replace("`", "'").replace("|", "")
        cells = f"{taker.library} {row['version']}", taker.shown, row["answer"], f"`{said}`" if said else ""
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
