"""Classes by name, by order, and what is said where they do not agree."""

import pytest
from torch import nn

from mvdet.evaluation.run.class_matching import match_names, match_numbers
from mvdet.models.trained import TrainedClassifier


def test_by_name_or_by_order() -> None:
    classifier = TrainedClassifier(nn.Identity(), ("red", "green", "blue"), (16, 16))
    assert match_numbers(classifier, ("blue", "red", "green")) == (1, 2, 0)
    numbered = TrainedClassifier(nn.Identity(), ("class0", "class1"), (16, 16), has_names=False)
    assert match_numbers(numbered, ("a", "b")) == (0, 1)


def test_messages_name_both_sides() -> None:
    classifier = TrainedClassifier(nn.Identity(), ("red", "green", "blue"), (16, 16))
    with pytest.raises(ValueError, match="the classifier has 3 classes, the data set 2: red, green, blue; a, b"):
        match_numbers(classifier, ("a", "b"))
    with pytest.raises(ValueError, match=r"classes that the classifier does not have: white; .* are red, green, white"):
        match_numbers(classifier, ("red", "green", "white"))
    with pytest.raises(ValueError, match=r"class29 and 970 more; the data set's are x"):
        match_names([f"class{n}" for n in range(1000)], ["x"], model="classifier")
