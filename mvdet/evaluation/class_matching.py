"""A model's classes in a data set's numbering."""

from collections.abc import Sequence

from mvdet.models.trained import TASK_NOUNS, TrainedClassifier, TrainedSegmenter, task_of

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
    both = f"the {model}'s are {_listed(model_names)}; the data set's are {_listed(data_names)}"
    if len(set(data_names)) < len(data_names) or len(set(model_names)) < len(model_names):
        raise ValueError(f"two classes have the same name: {both}")
    mine, theirs = set(model_names), set(data_names)
    for side, missing in ((model, theirs - mine), ("data set", mine - theirs)):
        if missing:
            raise ValueError(f"classes that the {side} does not have: {_listed(sorted(missing))}; {both}")
    places = {name: place for place, name in enumerate(data_names)}
    return tuple(places[name] for name in model_names)


def match_numbers(trained: TrainedClassifier | TrainedSegmenter, data_names: Sequence[str]) -> tuple[int, ...]:
    """The data set's class number of each of a model's: by name, or by order where the model does not know its names.

    Raises:
        ValueError: another number of classes, or, where the model knows its names, others; names both.
    """
    noun = TASK_NOUNS[task_of(trained)]
    if len(trained.class_names) != len(data_names):
        counts = f"the {noun} has {len(trained.class_names)} classes, the data set {len(data_names)}"
        raise ValueError(f"{counts}: {_listed(trained.class_names)}; {_listed(data_names)}")
    if not trained.has_names:
        return tuple(range(len(data_names)))
    return match_names(trained.class_names, data_names, model=noun)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
