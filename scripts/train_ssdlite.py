"""Train SSDLite on MobileViT. Without arguments: a small one on the generated `shapes` data set, in a few minutes.

python scripts/train_ssdlite.py --data-format coco --data-root coco --backbone mobilevit_s --weights-backbone apple
"""

from mvdet.tasks import DETECTION
from mvdet.training.detection import SSDLiteRecipe, detection_task
from mvdet.training.run import run_command

if __name__ == "__main__":
    run_command(DETECTION, SSDLiteRecipe, detection_task, description=__doc__)
