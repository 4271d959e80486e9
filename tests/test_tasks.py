"""The table of tasks: what it says agrees with the networks, the recipes and itself."""

import re

import pytest

from mvdet import create_backbone, create_model
from mvdet.tasks import TASKS, Task, task_of_keys, task_of_model


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_names(task: Task) -> None:
    assert TASKS[task.name] is task
    assert task_of_model(f"{task.prefix}mobilevit_xxs") is task
    assert all(file.is_file() for file in task.recipe_files().values())
    assert tuple(task.recipe_files()) == task.data_formats


@pytest.mark.parametrize("backbone", ["mobilevit_xxs", "mobilevitv2_050"])
@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_keys_of_the_network(task: Task, backbone: str) -> None:
    """Whatever is not the backbone's is the head's, and the class layers are those whose size follows the classes."""
    count = 5
    models = [create_model(f"{task.prefix}{backbone}", num_classes=n) for n in (count, count + 1)]
    small, large = (model.state_dict() for model in models)
    assert task_of_keys(small) is task
    for key, value in small.items():
        assert bool(re.match(task.head_keys, key)) == (not key.startswith("backbone.")), key
        assert bool(re.match(task.class_layers, key)) == (value.shape != large[key].shape), key


def test_a_backbone_alone_is_no_task() -> None:
    assert task_of_keys(create_backbone("mobilevit_xxs").state_dict()) is None
