"""What every training task has: its data, its optimiser, and a loss that is looked at."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn

from mvdet.training.loaders import ImageDataset, eval_loader, train_loader
from mvdet.training.recipe import TrainingRecipe
from mvdet.training.resume import EpochLoader, close_finished_epoch, epochs_done
from mvdet.training.sync_batch_norm import synchronise


def warmup_cosine(
    step: int, total_steps: int, *, highest: float, lowest: float, warmup_steps: int, warmup_start: float
) -> float:
    """Linear from `warmup_start` to `highest` over `warmup_steps`, then half a cosine down to `lowest` at the end.

    Of a run that is shorter than three warm-ups, a third is warm-up.
    """
    warmup_steps = min(warmup_steps, total_steps // 3)
    if step < warmup_steps:
        return warmup_start + (highest - warmup_start) * step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * progress)) / 2


class NonFiniteLossError(RuntimeError):
    """The loss of a training step is NaN or infinite."""


class TrainingTask(pl.LightningModule):
    """Base of the tasks: a subclass makes the network, the loss of a batch and the metrics.

    What a step draws at random (dropout, mixing) follows from the seed, the step and the process alone, so that a
    resumed run draws what an uninterrupted one would have drawn.

    Args:
        recipe: all settings.
        model: the network.
        train: training images.
        val: validation images.
        built: what the checkpoints say of the network, name and options, in plain types that `weights_only=True` reads.

    Raises:
        ValueError: training and validation images have different classes.
    """

    allow_zero_length_dataloader_with_multiple_devices = True  # fewer validation images than processes

    monitor = ""
    """The metric, larger is better, that the best checkpoint is chosen by."""

    def __init__(
        self,
        recipe: TrainingRecipe,
        model: nn.Module,
        train: ImageDataset,
        val: ImageDataset,
        built: Mapping[str, Any],
    ) -> None:
        super().__init__()
        if train.class_names != val.class_names:
            raise ValueError(f"training classes {train.class_names} differ from validation classes {val.class_names}")
        self.recipe = recipe
        self.model = model
        self.train_data = train
        self.val_data = val
        self.hparams.update(
            {
                "recipe": recipe.as_dict(),
                "model": {**built, "size": list(recipe.size)},
                "class_names": list(train.class_names),
            }
        )
        self.metrics: tuple[str, ...] = ()
        self._train_loader: EpochLoader | None = None

    def setup(self, stage: str) -> None:
        """Lightning's own synchronised batch normalisation needs GPUs; on CPUs it is ours."""
        if self.recipe.sync_batch_norm and self.device.type == "cpu":
            synchronise(self.model)

    def train_dataloader(self) -> EpochLoader:
        """Shuffled batches, this process's share of them."""
        if self._train_loader is None:
            self._train_loader = train_loader(
                self.train_data, self.recipe, rank=self.trainer.global_rank, world_size=self.trainer.world_size
            )
        # Lightning asks for an epoch's length before it tells the loader which epoch it is
        self._train_loader.set_epoch(epochs_done(self.trainer))
        return self._train_loader

    def val_dataloader(self) -> Any:
        """Batches in order, this process's share of them."""
        return eval_loader(
            self.val_data, self.recipe, rank=self.trainer.global_rank, world_size=self.trainer.world_size
        )

    def on_train_start(self) -> None:
        """Close the epoch of a checkpoint that was saved after its last batch."""
        close_finished_epoch(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the step."""
        seeds = np.random.SeedSequence([self.recipe.seed, self.global_step, self.global_rank])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))

    def checked_loss(self, losses: Mapping[str, Tensor], image_ids: Sequence[int]) -> Tensor:
        """The sum of the losses, logged.

        Raises:
            NonFiniteLossError: if it is NaN or infinite; names the step and the images.
        """
        loss = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(loss):
            shown = {name: value.item() for name, value in losses.items()}
            ids = list(image_ids)
            raise NonFiniteLossError(f"step {self.global_step}: the loss is not finite: {shown}; image ids {ids}")
        logged = {name: value.detach() for name, value in losses.items()}
        self.log_dict(logged, batch_size=len(image_ids), sync_dist=True)
        self.log("loss", loss.detach(), prog_bar=True, batch_size=len(image_ids), sync_dist=True)
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], prog_bar=True)
        return loss

    def gathered(self, found: Any) -> list[Any]:
        """What each process has found, in the order of their ranks."""
        if self.trainer.world_size == 1:
            return [found]
        everything = [None] * self.trainer.world_size
        dist.all_gather_object(everything, found)
        return everything

    def log_metrics(self, metrics: Mapping[str, float | None]) -> None:
        """Log what every process has computed the same; what has no value is NaN."""
        self.metrics = tuple(metrics)
        numbers = {name: math.nan if value is None else value for name, value in metrics.items()}
        self.log_dict(numbers, prog_bar=True, rank_zero_only=False, sync_dist=False)

    def learning_rate_factors(self) -> Iterator[tuple[nn.Module, float]]:
        """Parts of the network that learn at another rate, and how many times the recipe's."""
        return iter(())

    def configure_optimizers(self) -> Any:
        """AdamW with a linear warm-up and a cosine, step by step."""
        recipe = self.recipe
        factors = {id(p): factor for part, factor in self.learning_rate_factors() for p in part.parameters()}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in self.parameters():
            if parameter.requires_grad:
                decayed = parameter.dim() > 1 or recipe.decay_norm_and_bias
                key = factors.get(id(parameter), 1.0), recipe.weight_decay if decayed else 0.0
                groups.setdefault(key, []).append(parameter)
        optimizer = torch.optim.AdamW(
            [
                {"params": parameters, "lr": recipe.learning_rate * factor, "weight_decay": decay}
                for (factor, decay), parameters in groups.items()
            ],
            betas=(0.9, recipe.adam_beta2),
        )
        # Not `trainer.estimated_stepping_batches`: it starts the first epoch's loader before a checkpoint is restored.
        total = self.train_dataloader().total_steps(recipe.epochs)

        def factor(step: int) -> float:
            return (
                warmup_cosine(
                    step,
                    total,
                    highest=recipe.learning_rate,
                    lowest=recipe.min_learning_rate,
                    warmup_steps=recipe.warmup_steps,
                    warmup_start=recipe.warmup_learning_rate,
                )
                / recipe.learning_rate
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
