"""Data sets that several test modules look at."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from mvdet.data.shapes.dataset import generate

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def check_dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """ultralytics' `check_det_dataset`, with an empty datasets_dir, an empty working directory and no font download."""
    from ultralytics.data import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "DATASETS_DIR", tmp_path_factory.mktemp("datasets_dir"))
        patch.setattr(utils, "check_font", lambda font: None)

        def check(file: str) -> dict[str, Any]:
            patch.chdir(tmp_path_factory.mktemp("cwd"))
            try:
                return dict(utils.check_det_dataset(REPOSITORY / file))
            finally:
                patch.chdir(REPOSITORY)

        yield check


@pytest.fixture(scope="session")
def shapes_data(check_dataset: Any) -> dict[str, Any]:
    """The whole `shapes` set, made by its YAML file's download hook: the data dictionary that a trainer gets."""
    return dict(check_dataset("cfg/datasets/shapes.yaml"))


@pytest.fixture(scope="session")
def shapes_root(shapes_data: dict[str, Any]) -> Path:
    """The folder of the whole `shapes` set."""
    return Path(shapes_data["path"])


@pytest.fixture(scope="session")
def shared_bccd() -> Path:
    """The developers' copy of BCCD."""
    folder = REPOSITORY.parent / "shared" / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no copy of BCCD at {folder}")
    return folder


@pytest.fixture(scope="session")
def shared_coco_cc() -> Path:
    """The developers' sample of COCO 2017."""
    folder = REPOSITORY.parent / "shared" / "data" / "coco_cc"
    if not folder.is_dir():
        pytest.skip(f"no sample of COCO at {folder}")
    return folder


@pytest.fixture(scope="session")
def small_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `shapes` folder of 8 training and 4 validation images; not to be written to."""
    return generate(tmp_path_factory.mktemp("small") / "shapes", num_train=8, num_val=4)


@pytest.fixture(scope="session")
def coco_stats() -> Callable[[dict[str, Any], list[dict[str, Any]]], list[float]]:
    """pycocotools' twelve numbers of results on a ground truth, both as the content of their json files."""
    coco_api = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")

    def score(truth: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
        coco = coco_api.COCO()
        coco.dataset = deepcopy(truth)
        coco.createIndex()
        judge = evaluation.COCOeval(coco, coco.loadRes(deepcopy(results)), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
        return [float(value) for value in judge.stats]

    return score
