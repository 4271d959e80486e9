"""The settings that every training run has, whatever it trains."""

import dataclasses
from pathlib import Path
from typing import Any, Literal

from mvdet.training.recipe import setting

Sampler = Literal["fixed", "multi-scale", "multi-size"]


@dataclasses.dataclass(frozen=True)
class TrainingRecipe:
    """Settings of data loading, optimisation and the run; each is a key of a recipe's YAML and a flag of the scripts.

    Raises:
        ValueError: for a value out of range; names it.
    """

    # data
    data_root: Path | None = setting(None, "folder of the data set; those that make themselves have one of their own")
    workers: int = setting(2, "processes that load images, for each device")
    # network
    backbone: str = setting("mobilevit_s", "one of mvdet.list_backbones()")
    size: tuple[int, int] = setting((320, 320), "height and width of the images")
    weights: str | None = setting(None, "of the whole network: published name, file or folder")
    weights_backbone: str | None = setting(None, "of the backbone alone: published name, file or folder")
    head: Literal["load", "skip"] = setting("load", "with weights: load or skip what depends on the number of classes")
    freeze: bool = setting(False, "do not train the backbone")
    freeze_batch_norm: bool = setting(False, "do not train the backbone's batch normalisation")
    # sampler
    sampler: Sampler = setting(
        "fixed", "fixed: one size; multi-scale: batches whose size follows the images'; multi-size: one batch size"
    )
    min_size: tuple[int, int] = setting((160, 160), "height and width of the smallest images, if not fixed")
    max_size: tuple[int, int] = setting((320, 320), "height and width of the largest images, if not fixed")
    num_sizes: int = setting(5, "sizes between them")
    size_divisor: int = setting(32, "what sizes are rounded to multiples of")
    growth_epochs: int = setting(0, "epochs over which the largest size grows from min_size to max_size")
    max_pixels: int = setting(0, "pixels of a step, images times height times width, on one device; 0 for no limit")
    # optimisation
    epochs: int = setting(200, "passes over the training images")
    batch_size: int = setting(128, "images of `size` a step, over all devices together")
    learning_rate: float = setting(9e-4, "the highest one, after the warm-up")
    min_learning_rate: float = setting(1e-6, "the last one, at the end of the cosine")
    warmup_steps: int = setting(500, "steps of the linear warm-up")
    warmup_learning_rate: float = setting(9e-5, "the first one")
    weight_decay: float = setting(0.01, "AdamW's")
    adam_beta2: float = setting(0.999, "AdamW's, of the mean squared gradients; below 1; less pays in short runs")
    decay_norm_and_bias: bool = setting(True, "decay norms and biases, too, as the published v1 runs do")
    gradient_clip: float = setting(10.0, "largest norm of the gradient; 0 for no limit")
    ema_momentum: float = setting(5e-4, "of the averaged weights, which are evaluated and saved; 0 for none")
    sync_batch_norm: bool = setting(True, "normalise over the batch of all devices together")
    # run
    seed: int = setting(0, "of everything random")
    accelerator: str = setting("auto", "Lightning's: auto, cpu, gpu ...")
    devices: str = setting("auto", "Lightning's: auto, a number, or a list as 0,1")
    num_nodes: int = setting(1, "machines")
    precision: str = setting("32-true", "Lightning's: 32-true, 16-mixed, bf16-mixed ...")
    output: Path | None = setting(None, "folder of the run; none makes a new one in runs")
    resume: str | None = setting(None, "auto, or a checkpoint to go on from")
    evaluate_every: int = setting(1, "epochs between two evaluations")
    checkpoint_every: int = setting(0, "steps between two checkpoints; 0 makes one an epoch")

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "evaluate_every", "num_nodes", "num_sizes", "size_divisor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        counts = ("workers", "warmup_steps", "checkpoint_every", "seed", "max_pixels", "growth_epochs")
        for name in (*counts, "gradient_clip", "weight_decay"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        self.check_share("ema_momentum", "adam_beta2")
        if self.adam_beta2 == 1:
            raise ValueError("adam_beta2 must be below 1, got 1.0")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")

    def check_share(self, *names: str) -> None:
        """Raises ValueError for settings that are not between 0 and 1."""
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """The settings in plain types, as YAML and `weights_only=True` read them."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
