"""Key names of our own models and backbones."""

from mvdet.checkpoints.key_format import KeyFormat

OWN = KeyFormat(
    name="mvdet",
    signatures=("stages.0.0.expand.conv.weight", "backbone.stages.0.0.expand.conv.weight"),
    # A backbone's keys get the prefix that they have inside a model.
    table=((r"^(?=(stem|stages|expand)\.)", "backbone."),),
)
