"""All benchmarks but YOLO's, in parts; each gives rows, further tables, or both.

What a part measures against is imported once it is measured: a run of one part needs no more, and has no threads of
the others' in its process.
"""

import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from mvdet.backbones import VARIANTS
from mvdet.benchmarks import backbones, coco, counts, growth, heads, runtimes
from mvdet.benchmarks.comparison import Comparison, comparison_table, markdown, mean_table, plot_ratios


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and for how long.

    Attributes:
        variants: backbones.
        sizes: sides of the square images that inference is timed with, in pixels.
        repeats: counted rounds of a case, at most.
        seconds: time after which a case ends; see `mvdet.benchmarks.measure.time_in_turn`.
        short: few rounds, one size, one variant of each version.
        output: folder of the tables and plots.
    """

    variants: tuple[str, ...]
    sizes: tuple[int, ...]
    repeats: int
    seconds: float
    short: bool
    output: Path

    @property
    def limits(self) -> dict[str, Any]:
        """The arguments of `time_in_turn` that end a case."""
        return {"repeats": 3 if self.short else self.repeats, "seconds": 3.0 if self.short else self.seconds}

    @property
    def timed(self) -> tuple[str, ...]:
        """The variants that are timed."""
        return ("mobilevit_xxs", "mobilevitv2_050") if self.short else self.variants


@dataclass
class Findings:
    """What one part has found.

    Attributes:
        rows: comparisons of mvdet with others.
        tables: further tables, in Markdown.
        errors: one message for each thing found that must not be.
    """

    rows: list[Comparison] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


Part = Callable[[Settings], Findings]


def run(parts: Mapping[str, Part], settings: Settings) -> list[str]:
    """Measure, print, and write results.json, tables.md and a plot of each part's ratios.

    Args:
        parts: what measures each part, by its name.
        settings: what is measured, and for how long, in all parts.

    Returns:
        One message for everything that must not be; none is fine.
    """
    settings.output.mkdir(parents=True, exist_ok=True)
    machine, threads = describe_machine(), torch.get_num_threads()
    print(machine, flush=True)
    pages, rows, errors = [machine], [], []
    for part, measure in parts.items():
        torch.set_num_threads(threads)  # ultralytics sets its own
        found = measure(settings)
        tables = [*found.tables]
        if found.rows:
            tables = [comparison_table(found.rows), mean_table(found.rows), *tables]
            plot_ratios(found.rows, settings.output / f"{part}.png")
        page = "\n\n".join([f"## {part}", *tables])
        print(f"\n{page}", flush=True)
        pages.append(page)
        rows += [{"part": part, **row.as_dict()} for row in found.rows]
        errors += found.errors
        (settings.output / "tables.md").write_text("\n\n".join(pages) + "\n", encoding="utf-8")
        (settings.output / "results.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")
    return errors


def describe_machine() -> str:
    """The processor, its cores, the threads that PyTorch uses and its version, in one line."""
    name = platform.processor() or platform.machine()
    processors = Path("/proc/cpuinfo")
    if processors.exists():
        lines = (line.partition(":") for line in processors.read_text(encoding="utf-8").splitlines())
        name = next((value.strip() for key, _, value in lines if key.strip() == "model name"), name)
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _inference(settings: Settings) -> Findings:
    sizes = (256,) if settings.short else settings.sizes
    batches = (1,) if settings.short else (1, 8)
    found = Findings()
    for variant in settings.timed:
        found.rows += backbones.inference(variant, batches=batches, sizes=sizes, **settings.limits)
    return found


def _training(settings: Settings) -> Findings:
    found = Findings()
    for variant in settings.timed:
        found.rows += backbones.training(variant, batch=2 if settings.short else 8, **settings.limits)
    return found


def _memory(settings: Settings) -> Findings:
    lines, batch = [], 2 if settings.short else 8
    for variant in settings.timed:
        peaks = backbones.memory(variant, batch=batch)
        for what in dict.fromkeys(what for what, _ in peaks):
            ours, *others = (peaks[what, who] / 2**20 for who in ("mvdet", "timm", "transformers"))
            lines.append([variant, what, f"{ours:.0f}", *(f"{other:.0f} ({ours / other:.2f})" for other in others)])
    header = ("variant", f"what, batch {batch}, 256 pixels", "mvdet MiB", "timm MiB (mvdet / timm)", "transformers MiB")
    return Findings(tables=[markdown(header, lines)])


def _ssdlite(settings: Settings) -> Findings:
    found, lines = Findings(), []
    for variant in settings.timed:
        row, shares = heads.end_to_end(variant, batch=2 if settings.short else 8, **settings.limits)
        found.rows.append(row)
        lines.append([row.subject, *(f"{100 * share:.1f} %" for share in shares.values())])
    found.rows += heads.postprocessing(repeats=settings.limits["repeats"])
    found.tables.append(markdown(("detector", *(f"share of post-processing, logits {name}" for name in shares)), lines))
    return found


def _loader(settings: Settings) -> Findings:
    # Lightning comes with them, and takes seconds to import.
    from mvdet.training.detection import SSDLiteRecipe, detection_dataset
    from mvdet.training.loaders import train_loader

    variant = settings.timed[0] if settings.short else "mobilevit_s"
    recipe = SSDLiteRecipe(backbone=variant, batch_size=8, workers=2)
    loaded, trained = heads.loading_rates(train_loader(detection_dataset(recipe, train=True), recipe), variant, 8)
    header = ("training step, batch 8, 320 pixels", "images/s", "loader, two workers, images/s", "times as fast")
    line = [f"ssdlite_{variant}", f"{trained:.1f}", f"{loaded:.0f}", f"{loaded / trained:.0f}"]
    return Findings(tables=[markdown(header, [line])])


def _deeplabv3(settings: Settings) -> Findings:
    size = 256 if settings.short else 512
    return Findings(
        [row for variant in settings.timed for row in heads.segmentation(variant, size=size, **settings.limits)]
    )


def _growth(settings: Settings) -> Findings:
    variants = list({VARIANTS[variant].version: variant for variant in settings.timed}.values())  # the last of each
    found = growth.growth(variants, sizes=growth.SIZES[:4] if settings.short else growth.SIZES, **settings.limits)
    growth.plot(found, settings.output / "growth.png")
    times = [[str(size), *(f"{1e3 * one.seconds[i]:.1f}" for one in found)] for i, size in enumerate(found[0].sizes)]
    fits = [
        [
            one.variant,
            f"{1e3 * one.linear[0]:.1f} + {1e3 * one.linear[1]:.1f} p",
            f"{100 * one.error(one.linear):.0f} %",
            f"{1e3 * one.quadratic[0]:.1f} + {1e3 * one.quadratic[1]:.1f} p + {1e3 * one.quadratic[2]:.1f} p²",
            f"{100 * one.error(one.quadratic):.0f} %",
            f"{100 * one.quadratic_share:.0f} %",
        ]
        for one in found
    ]
    header = ("variant", "linear fit, ms", "worst error", "quadratic fit, ms", "worst error", "quadratic part")
    return Findings(
        tables=[markdown(("pixels a side", *(f"{v}, ms" for v in variants)), times), markdown(header, fits)]
    )


def _coco(settings: Settings) -> Findings:
    return Findings([coco.evaluation(images=200 if settings.short else 5000, repeats=3)])


def _runtimes(settings: Settings) -> Findings:
    size, batches = (256, (1,)) if settings.short else (320, (1, 8))
    found = Findings()
    for variant in settings.timed:
        found.rows += runtimes.runtimes(variant, batches=batches, size=size, **settings.limits)
    return found


def _counts(settings: Settings) -> Findings:
    found, lines = Findings(), []
    limits_of, tolerance = counts.read_limits()
    for variant, limits in limits_of.items():
        counted = counts.count(variant)
        found.errors += counts.excess(counted, limits, subject=variant, tolerance=tolerance)
        lines.append([variant, *map(str, asdict(counted).values())])
    header = ["one image of 256 x 256", *(one.name for one in fields(counts.Counts))]
    found.tables.append(markdown(header, lines))
    return found


PARTS: dict[str, Part] = {
    "counts": _counts,
    "inference": _inference,
    "runtimes": _runtimes,
    "training": _training,
    "memory": _memory,
    "ssdlite": _ssdlite,
    "loader": _loader,
    "deeplabv3": _deeplabv3,
    "growth": _growth,
    "coco": _coco,
}
"""Name on the command line -> what measures it."""
