"""Stock models with the plugin on and off: the same, byte for byte."""

import textwrap

import pytest

SCRIPT = """
    import sys, hashlib, torch
    from ultralytics import YOLO
    torch.manual_seed(0)
    torch.set_num_threads(1)
    digest = hashlib.sha256()
    def add(value):
        if torch.is_tensor(value):
            digest.update(value.detach().contiguous().numpy().tobytes())
        elif isinstance(value, dict):
            [add(v) for v in value.values()]
        elif isinstance(value, (list, tuple)):
            [add(v) for v in value]
    model = YOLO("{model}").model
    images = torch.rand(1, 3, 96, 64)
    add(model.state_dict())
    model.train()
    add(model(images))
    model.eval()
    with torch.no_grad():
        add(model(images))
        add(model.fuse(verbose=False)(images))
    print("mvdet" in sys.modules, hasattr(sys.modules["ultralytics.nn.tasks"], "MobileViT"), digest.hexdigest())
"""


@pytest.mark.parametrize(
    "model", ["yolo11n.yaml", "yolov5n.yaml", "yolov8n-seg.yaml", "yolo26n.yaml", "yolo26n-sem.yaml"]
)
def test_stock_models_do_not_notice(model: str, python) -> None:
    code = textwrap.dedent(SCRIPT.format(model=model))
    on = python("-c", f"import mvdet.yolo; mvdet.yolo.register()\n{code}")
    off = python("-c", code, MVDET_AUTOLOAD="0")
    assert on.returncode == 0, on.stderr
    assert off.returncode == 0, off.stderr
    assert on.stdout.split()[-3:-1] == ["True", "True"]
    assert off.stdout.split()[-2] == "False"
    assert on.stdout.split()[-1] == off.stdout.split()[-1]
