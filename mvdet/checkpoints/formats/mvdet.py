"""Key names of our own models and backbones; those of the heads stand in `mvdet.tasks`."""

from mvdet.checkpoints.formats.key_format import KeyFormat
from mvdet.tasks import TASKS

MVDET = KeyFormat(
    name="mvdet",
    signature=r"^(model\.)?(_orig_mod\.)?(backbone\.)?stages\.\d\.\d\.(expand|depthwise|project)\.conv\.weight$",
    # What a LightningModule of ours puts before its model's keys; a backbone's keys get the prefix that they have
    # inside a model. No row: the names are ours.
    aliases=(
        (r"^model\.(_orig_mod\.)?(?=(backbone|head|aux_head)\.)", ""),
        (r"^(?=(stem|stages|expand)\.)", "backbone."),
    ),
    kept="|".join((r"backbone\.", *(task.head_keys for task in TASKS.values()))),
)
