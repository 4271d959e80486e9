"""Key names of our own models and backbones."""

from mvdet.checkpoints.key_format import KeyFormat

OWN = KeyFormat(
    name="mvdet",
    signature=r"^(backbone\.)?stages\.\d\.\d\.(expand|depthwise|project)\.conv\.weight$",
    # A backbone's keys get the prefix that they have inside a model; no row: the names are ours.
    aliases=((r"^(?=(stem|stages|expand)\.)", "backbone."),),
)
