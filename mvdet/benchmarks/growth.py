"""How the time of a pyramid grows with the size of the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from matplotlib.figure import Figure

from mvdet.benchmarks.measure import time_in_turn
from mvdet.benchmarks.rivals import all_levels
from mvdet.evaluation.reports.plots import COLOURS

SIZES = (224, 256, 320, 384, 448, 512, 640, 768, 896, 1024)


@dataclass(frozen=True, slots=True)
class Growth:
    """Times of one network and the polynomials in the number of pixels that fit them best.

    Fitted by least squares of relative errors, so that small images count as much as large ones.

    Attributes:
        variant: name of the backbone.
        sizes: sides of the square images, in pixels.
        seconds: median time of the fused network at each size, for one image.
        linear: coefficients of the straight line: seconds at no pixels, seconds a megapixel.
        quadratic: coefficients of the parabola: as those of the line, and seconds a megapixel squared.
    """

    variant: str
    sizes: tuple[int, ...]
    seconds: tuple[float, ...]
    linear: tuple[float, ...]
    quadratic: tuple[float, ...]

    def predicted(self, coefficients: Sequence[float], sizes: Sequence[float] | np.ndarray) -> np.ndarray:
        """The seconds at each size that a polynomial gives, from its coefficients, lowest power first."""
        values: np.ndarray = np.polynomial.polynomial.polyval(_megapixels(sizes), coefficients)
        return values

    def error(self, coefficients: Sequence[float]) -> float:
        """The largest relative error of a polynomial, given by its coefficients, over the measured sizes."""
        return float(np.abs(self.predicted(coefficients, self.sizes) / np.array(self.seconds) - 1).max())

    @property
    def quadratic_share(self) -> float:
        """What share of the time at the largest size grows with the square of the pixels, in the quadratic fit."""
        largest = max(self.sizes)
        return float(self.quadratic[2] * _megapixels([largest])[0] ** 2 / self.predicted(self.quadratic, [largest])[0])


def growth(
    variants: Sequence[str], *, sizes: Sequence[int] = SIZES, repeats: int = 7, seconds: float = 15.0
) -> list[Growth]:
    """Time one image at each size; at each size the networks take turns.

    Args:
        variants: names of the backbones.
        sizes: sides of the square images in pixels, three or more.
        repeats: rounds at each size, at most.
        seconds: time after which a size ends; see `time_in_turn`.

    Returns:
        The times of each network, with the polynomials that fit them.
    """
    models = [all_levels(variant).eval().fuse() for variant in variants]
    medians: list[list[float]] = [[] for _ in variants]
    with torch.inference_mode():
        for size in sizes:
            images = torch.rand(1, 3, size, size)
            times = time_in_turn([partial(m, images) for m in models], repeats=repeats, warmup=2, seconds=seconds)
            for found, values in zip(medians, times, strict=True):
                found.append(median(values))
    return [fit(variant, sizes, found) for variant, found in zip(variants, medians, strict=True)]


def fit(variant: str, sizes: Sequence[int], seconds: Sequence[float]) -> Growth:
    """The polynomials of times that have been measured."""
    linear, quadratic = (_least_squares(_megapixels(sizes), np.array(seconds), degree) for degree in (1, 2))
    return Growth(variant, tuple(sizes), tuple(seconds), linear, quadratic)


def plot(found: Sequence[Growth], file: Path) -> None:
    """Time over pixels, both on logarithmic axes, each with its quadratic fit and a straight line of slope 1; a PNG."""
    figure = Figure(figsize=(7, 4.5), dpi=130, layout="constrained")
    axes = figure.add_subplot()
    for index, one in enumerate(found):
        pixels, colour = _megapixels(one.sizes), COLOURS[index % len(COLOURS)]
        axes.plot(pixels, 1e3 * np.array(one.seconds), "o", color=colour, label=one.variant)
        dense = np.geomspace(min(one.sizes), max(one.sizes), 50)
        axes.plot(_megapixels(dense), 1e3 * one.predicted(one.quadratic, dense), color=colour)
        per_pixel = one.seconds[0] / pixels[0]
        axes.plot(pixels, 1e3 * per_pixel * pixels, ":", color=colour, linewidth=1)
    axes.set(xscale="log", yscale="log", xlabel="side of the image, pixels", ylabel="milliseconds an image")
    sizes = found[0].sizes
    axes.set_xticks(_megapixels(sizes), [str(size) for size in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(title="line: fit; dotted: in proportion to the pixels")
    figure.savefig(file)


def _least_squares(pixels: np.ndarray, seconds: np.ndarray, degree: int) -> tuple[float, ...]:
    powers = np.vander(pixels, degree + 1, increasing=True) / seconds[:, None]
    return tuple(np.linalg.lstsq(powers, np.ones_like(seconds), rcond=None)[0].tolist())


def _megapixels(sizes: Sequence[float] | np.ndarray) -> np.ndarray:
    pixels: np.ndarray = np.square(np.array(sizes, dtype=float))
    return pixels / 1e6
