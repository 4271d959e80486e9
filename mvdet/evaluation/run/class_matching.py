"""Which of a data set's classes each of a model's is: by name, or by order where names are not known."""

from collections.abc import Sequence

from mvdet.models.trained import TrainedClassifier, TrainedSegmenter
from mvdet.wording import listed

_MOST_NAMES = 30  # in a message


def match_names(model_names: Sequence[str], data_names: Sequence[str], *, model: str) -> tuple[int, ...]:
    """Where the data set has each of the model's classes, found by name.

    Args:
        model_names: of the model's outputs, in their order.
        data_names: the same names, in any order.
        model: what the message calls the model.

    Raises:
        ValueError: a class is missing on either side, or a name occurs twice; names both sets.
    """
    both = f"the {model}'s are {listed(model_names, _MOST_NAMES)}; the data set's are {listed(data_names, _MOST_NAMES)}"
    if len(set(data_names)) < len(data_names) or len(set(model_names)) < len(model_names):
        raise ValueError(f"two classes have the same name: {both}")
    mine, theirs = set(model_names), set(data_names)
    for side, missing in ((model, theirs - mine), ("data set", mine - theirs)):
        if missing:
            raise ValueError(f"classes that the {side} does not have: {listed(sorted(missing), _MOST_NAMES)}; {both}")
    places = {name: place for place, name in enumerate(data_names)}
    return tuple(places[name] for name in model_names)


def match_numbers(trained: TrainedClassifier | TrainedSegmenter, data_names: Sequence[str]) -> tuple[int, ...]:
    """The data set's class number of each of a model's: by name, or by order where the model does not know its names.

    Raises:
        ValueError: another number of classes, or, where the model knows its names, others; names both.
    """
    noun = trained.task.noun
    if len(trained.class_names) != len(data_names):
        counts = f"the {noun} has {len(trained.class_names)} classes, the data set {len(data_names)}"
        raise ValueError(f"{counts}: {listed(trained.class_names, _MOST_NAMES)}; {listed(data_names, _MOST_NAMES)}")
    if not trained.has_names:
        return tuple(range(len(data_names)))
    return match_names(trained.class_names, data_names, model=noun)
