"""Train DeepLabV3 on MobileViT. Without arguments: a small one on the generated `shapes` data set, in a few minutes.

python scripts/train_deeplabv3.py --data-format voc --data-root VOCdevkit --weights-backbone apple
"""

from mvdet.tasks import SEGMENTATION
from mvdet.training.run import run_command
from mvdet.training.segmentation import SegmentationRecipe, segmentation_task

if __name__ == "__main__":
    run_command(SEGMENTATION, SegmentationRecipe, segmentation_task, description=__doc__)
