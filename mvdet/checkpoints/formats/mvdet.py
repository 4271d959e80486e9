"""Key names of our own models and backbones; those of the heads stand in `mvdet.tasks`."""

from mvdet.checkpoints.formats.key_format import KeyFormat
from mvdet.tasks import TASKS

MVDET = KeyFormat(
    name="mvdet",
    signature=r"(backbone\.)?stages\.\d\.\d\.(expand|depthwise|project)\.conv\.weight$",
    # A backbone's keys get the prefix that they have inside a model. No row: the names are ours.
    aliases=((r"^(?=(stem|stages|expand)\.)", "backbone."),),
    kept="|".join((r"backbone\.", *(task.head_keys for task in TASKS.values()))),
)
