"""Recipes: YAML files, flags, and the mistakes that are made in both."""

import dataclasses
import typing
from pathlib import Path

import pytest
import yaml

from mvdet.data.recognition import FINDERS
from mvdet.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, Task
from mvdet.training import classification, detection, segmentation
from mvdet.training.classification import ClassificationRecipe
from mvdet.training.detection import SSDLiteRecipe
from mvdet.training.recipe import TrainingRecipe, parse_arguments, read_settings
from mvdet.training.segmentation import SegmentationRecipe

RECIPES = {SSDLiteRecipe: DETECTION, ClassificationRecipe: CLASSIFICATION, SegmentationRecipe: SEGMENTATION}
TASKS = {kind: task.recipe_files() for kind, task in RECIPES.items()}
READERS = {
    SSDLiteRecipe: detection.READERS,
    ClassificationRecipe: classification.READERS,
    SegmentationRecipe: segmentation.READERS,
}
SOURCES = {
    SSDLiteRecipe: detection.SOURCES,
    ClassificationRecipe: classification.SOURCES,
    SegmentationRecipe: segmentation.SOURCES,
}
OTHER_RECIPES = {"mobilevitv2_imagenet": ClassificationRecipe, "deeplabv3_v2_voc": SegmentationRecipe}


def parse(*argv: str) -> SSDLiteRecipe:
    return parse_arguments(SSDLiteRecipe, argv, DETECTION.recipe_files(), description="")


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, files in TASKS.items() for name in files])
def test_the_recipes_that_come_with_mvdet(kind: type[TrainingRecipe], name: str) -> None:
    settings = read_settings(kind, TASKS[kind][name])
    own = TASKS[kind][name] == RECIPES[kind].own_recipe_file
    assert settings.get("data_format") == (None if own else name)
    kind(**settings | {"data_root": Path("somewhere")})


@pytest.mark.parametrize(("kind", "task"), RECIPES.items())
def test_data_formats_are_the_same_everywhere(kind: type[TrainingRecipe], task: Task) -> None:
    allowed = typing.get_args(typing.get_type_hints(kind)["data_format"])
    assert allowed == ("auto", *task.data_formats)
    assert set(task.data_formats) == {*READERS[kind], *SOURCES[kind]}
    assert set(READERS[kind]) == set(FINDERS[task.name])


def test_every_recipe_is_a_tasks() -> None:
    folder = DETECTION.recipe_files()["coco"].parent
    named = {path.stem for files in TASKS.values() for path in files.values()}
    named |= {task.own_recipe for task in RECIPES.values()}
    assert {path.stem for path in folder.glob("*.yaml")} == named | set(OTHER_RECIPES)
    for name, kind in OTHER_RECIPES.items():
        kind(**read_settings(kind, folder / f"{name}.yaml") | {"data_root": Path("somewhere")})


def test_coco_is_the_papers() -> None:
    recipe = parse("--data-format", "coco", "--data-root", "coco")
    assert (recipe.learning_rate, recipe.min_learning_rate, recipe.warmup_learning_rate) == (9e-4, 1e-6, 9e-5)
    assert (recipe.warmup_steps, recipe.weight_decay, recipe.batch_size, recipe.epochs) == (500, 0.01, 128, 200)
    assert (recipe.ema_momentum, recipe.sync_batch_norm, recipe.size) == (5e-4, True, (320, 320))
    assert recipe.decay_norm_and_bias


def test_no_argument_at_all_trains_on_shapes() -> None:
    assert (parse().data_format, parse().backbone) == ("shapes", "mobilevit_xxs")


def test_flags_win_over_the_recipe_which_wins_over_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epochs: 7\nlearning_rate: 1e-3\n")  # YAML reads 1e-3 as a word
    recipe = parse("--config", str(tmp_path / "r.yaml"), "--epochs", "9", "--no-photometric", "--size", "96", "128")
    assert (recipe.epochs, recipe.learning_rate, recipe.batch_size) == (9, 1e-3, SSDLiteRecipe().batch_size)
    assert (recipe.photometric, recipe.sample_crop, recipe.size) == (False, True, (96, 128))


@pytest.mark.parametrize("kind", list(TASKS))
def test_every_setting_is_a_flag_and_a_key(kind: type[TrainingRecipe], tmp_path: Path) -> None:
    plain = kind().as_dict()
    assert plain.keys() == {field.name for field in dataclasses.fields(kind)}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(plain))
    assert kind(**read_settings(kind, tmp_path / "r.yaml")) == kind()
    argv = []
    for name, value in plain.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            argv.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            argv += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
    assert parse_arguments(kind, argv, TASKS[kind], description="") == kind()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epoch-count", "3"], "unknown argument '--epoch-count'; did you mean"),
        (["--batchsize", "3"], "unknown argument '--batchsize'; did you mean --batch-size"),
        (["--epochs", "three"], "--epochs: int wanted, got 'three'"),
        (["--epochs", "2.5"], "--epochs: int wanted, got '2.5'"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--data-format", "coco"], "data_format coco needs a data_root"),
        (["--on-bad-data", "ignore"], "--on-bad-data: unknown value 'ignore'; .*error, skip"),
        (["--flip", "2"], "flip must be between 0 and 1, got 2.0"),
        (["--model", "torchvision/ssd300_vgg16", "--weights", "x.pt"], "is trained from scratch here"),
    ],
)
def test_bad_arguments(argv: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse(*argv)


@pytest.mark.parametrize(
    ("kind", "argv", "message"),
    [
        (ClassificationRecipe, ["--crop-scale", "0", "1"], r"crop_scale must be \(low, high\) above 0 and up to 1"),
        (ClassificationRecipe, ["--mixup", "-1"], "mixup must be at least 0, got -1.0"),
        (ClassificationRecipe, ["--data-format", "folder"], "data_format folder needs a data_root"),
        (ClassificationRecipe, ["--interpolation", "cubic"], "--interpolation: unknown value 'cubic'"),
        (SegmentationRecipe, ["--scale", "2", "0.5"], "scale must be .* above 0, got"),
        (SegmentationRecipe, ["--aux-loss", "-1"], "aux_loss must be at least 0, got -1.0"),
        (SegmentationRecipe, ["--data-format", "voc"], "data_format voc needs a data_root"),
        (SegmentationRecipe, ["--head-learning-rate-factor", "0"], "head_learning_rate_factor must be above 0"),
        (SSDLiteRecipe, ["--sampler", "multi"], "--sampler: unknown value 'multi'; .*multi-scale"),
        (ClassificationRecipe, ["--on-bad-data", "ignore"], "--on-bad-data: unknown value 'ignore'"),
        (SSDLiteRecipe, ["--max-pixels", "-1"], "max_pixels must be at least 0, got -1"),
    ],
)
def test_bad_arguments_of_any_task(kind: type[TrainingRecipe], argv: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_arguments(kind, argv, TASKS[kind], description="")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch: 3", "r.yaml: unknown setting 'epoch'; did you mean epochs"),
        ("- 3", "r.yaml: a recipe is a map of settings, got list"),
        ("epochs: [3", "r.yaml: not YAML: "),
        ("epochs: true", "r.yaml: epochs: int wanted, got True"),
        ("flip: [1, 2]", r"r.yaml: flip: float wanted, got \[1, 2\]"),
        ("photometric: 1", "r.yaml: photometric: true or false wanted, got 1"),
        ("size: [320]", r"r.yaml: size: 2 values wanted, got \[320\]"),
    ],
)
def test_bad_recipes(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        parse("--config", str(tmp_path / "r.yaml"))


def test_a_recipe_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"recipe not found: nowhere.yaml"):
        parse("--config", "nowhere.yaml")


def test_help_shows_every_setting(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    shown = capsys.readouterr().out
    assert all("--" + field.name.replace("_", "-") in shown for field in dataclasses.fields(SSDLiteRecipe))
