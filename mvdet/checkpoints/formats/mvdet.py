"""Key names of our own models and backbones."""

import re

from mvdet.checkpoints.formats.key_format import KeyFormat

_CONV_NORM = ("conv", "norm")
# The modules of our models' heads, by task; 0 stands for any number.
HEADS = {
    "detection": (
        *(f"head.projections.0.{part}" for part in _CONV_NORM),
        *(f"head.extras.0.{conv}.{part}" for conv in ("depthwise", "pointwise") for part in _CONV_NORM),
        "head.pool_projection",
        *(f"head.predictors.0.depthwise.{part}" for part in _CONV_NORM),
        *("head.predictors.0.pointwise", "head.predictors.0"),
    ),
    "segmentation": (
        *(
            f"{block}.{part}"
            for block in ("head.aspp.branches.0", "head.aspp.image_pool", "head.aspp.project", "aux_head.project")
            for part in _CONV_NORM
        ),
        *("head.classifier", "aux_head.classifier"),
    ),
    "classification": ("head",),
}


def head_keys(task: str) -> str:
    """A regular expression for the keys that the head of a model for `task` has."""
    modules = "|".join(re.escape(module).replace("0", "[0-9]+") for module in HEADS[task])
    return rf"({modules})\.(weight|bias|running_mean|running_var|num_batches_tracked)$"


OWN = KeyFormat(
    name="mvdet",
    signature=r"^(model\.)?(_orig_mod\.)?(backbone\.)?stages\.\d\.\d\.(expand|depthwise|project)\.conv\.weight$",
    # What a LightningModule of ours puts before its model's keys; a backbone's keys get the prefix that they have
    # inside a model. No row: the names are ours.
    aliases=(
        (r"^model\.(_orig_mod\.)?(?=(backbone|head|aux_head)\.)", ""),
        (r"^(?=(stem|stages|expand)\.)", "backbone."),
    ),
    kept="|".join((r"backbone\.", *map(head_keys, HEADS))),
)
