"""Train a MobileViT classifier. Without arguments: a small one on the objects of `shapes`, in a few minutes.

python scripts/train_classifier.py --data-format folder --data-root imagenet --backbone mobilevit_s --devices 8
"""

from mvdet.tasks import CLASSIFICATION
from mvdet.training.classification import ClassificationRecipe, classification_task
from mvdet.training.run import run_command

if __name__ == "__main__":
    run_command(CLASSIFICATION, ClassificationRecipe, classification_task, description=__doc__)
