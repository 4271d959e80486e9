"""What mvdet changes in ultralytics: nothing that a stock model notices, and in place whatever is imported first."""

import json
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from mvdet.yolo import register
from mvdet.yolo.patches import LATE_PATCHES, PATCHES, Patch

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "cfg" / "yolov5-mobilevit-xxs.yaml"
STOCK = ["yolo11n.yaml", "yolov5n.yaml", "yolov8n-seg.yaml", "yolo26n.yaml", "yolo26n-sem.yaml"]

DIGESTS = """
    import hashlib, json, sys, torch
    from ultralytics import YOLO
    torch.set_num_threads(1)

    def add(digest, value):
        if torch.is_tensor(value):
            digest.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            [add(digest, v) for v in value.values()]
        elif isinstance(value, (list, tuple)):
            [add(digest, v) for v in value]

    def digest_of(name):
        torch.manual_seed(0)
        digest = hashlib.sha256()
        model = YOLO(name).model
        images = torch.rand(1, 3, 96, 64)
        add(digest, model.state_dict())
        add(digest, model.train()(images))
        model.eval()
        with torch.no_grad():
            add(digest, model(images))
            add(digest, model.fuse(verbose=False)(images))
        return digest.hexdigest()

    found = {{name: digest_of(name) for name in {names}}}
    registered = hasattr(sys.modules["ultralytics.nn.tasks"], "MobileViT")
    print(json.dumps(["mvdet" in sys.modules, registered, found]))
"""


def test_stock_models_do_not_notice(python) -> None:
    """Stock models with the plugin on and off: weights and outputs are the same, byte for byte."""
    code = textwrap.dedent(DIGESTS.format(names=STOCK))
    results = [
        python("-c", f"import mvdet.yolo; mvdet.yolo.register()\n{code}"),
        python("-c", code, MVDET_AUTOLOAD="0"),
    ]
    assert all(result.returncode == 0 for result in results), [result.stderr for result in results]
    on, off = (json.loads(result.stdout.splitlines()[-1]) for result in results)
    assert on[:2] == [True, True]
    assert off[:2] == [False, False]
    assert len(set(on[2].values())) == len(STOCK)
    assert on[2] == off[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    register()
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    torch.save({"model": DetectionModel(str(MODEL), verbose=False)}, path)
    return path


ORDER = """
    {first}
    from ultralytics import YOLO
    from ultralytics.engine.model import Model

    stock = getattr(Model.train, "__wrapped__", Model.train)
    for source in {sources}:
        Model.train = stock  # as if this were the first network of the process
        model = YOLO(source)
        try:
            model.train(data="none.yaml")
        except ValueError as error:
            print(error)
"""


@pytest.mark.parametrize(
    "first",
    [
        "from ultralytics import YOLO",
        "import mvdet.yolo",
        "from mvdet.yolo import MultiScaleDetectionTrainer",
        "from mvdet.yolo.ssdlite import SSDLiteDetect",
    ],
)
def test_the_multi_scale_switch_works_in_every_order(first: str, checkpoint: Path, python) -> None:
    """A value that is refused shows that the switch is looked at: by the first network, from YAML and from a file."""
    by_hand = "" if first.startswith("from ultralytics") else "\nimport mvdet.yolo as m; m.register()"
    sources = [str(MODEL), str(checkpoint), "yolov5n.yaml"]
    code = textwrap.dedent(ORDER).format(first=first + by_hand, sources=sources)
    result = python("-W", "error::RuntimeWarning", "-c", code, MVDET_MULTI_SCALE="wrong")
    assert result.returncode == 0, result.stderr
    refusals = [line for line in result.stdout.splitlines() if "MVDET_MULTI_SCALE must be 0 (off)" in line]
    assert len(refusals) == len(sources), result.stdout + result.stderr


@pytest.mark.parametrize("patch", [*PATCHES, *LATE_PATCHES], ids=lambda patch: patch.target)
def test_a_patch_says_why_and_is_applied_once(patch: Patch) -> None:
    """By now they are in place: applying them again must not wrap them again."""
    register()
    patch.apply()
    *owners, name = patch.target.split(".")
    owner = import_module(patch.module)
    for one in owners:
        owner = getattr(owner, one)
    found = getattr(owner, name)
    assert found.is_mvdets
    assert not hasattr(found.__wrapped__, "is_mvdets")
    assert len(patch.reason.split()) > 5
