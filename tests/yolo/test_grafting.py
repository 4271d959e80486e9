from pathlib import Path
from typing import Any

import pytest
import torch
import ultralytics
from ultralytics import RTDETR, YOLO
from ultralytics.nn import tasks

from mvdet import list_backbones
from mvdet.yolo import graft, register, write_yaml

register()

CFG = Path(__file__).parents[2] / "cfg"
FILES = sorted(CFG.glob("yolo*.yaml"))

# Every family and task, and the odd ones: levels at stride 4 and 64, two backbones in one (v9e), two levels (v3-tiny).
STOCK = [
    "yolov3",
    "yolov3-tiny",
    "yolov3-spp",
    "yolov5n",
    "yolov5n-p6",
    "yolov6n",
    "yolov8n",
    "yolov8n-p2",
    "yolov8n-p6",
    "yolov8n-seg",
    "yolov8n-pose",
    "yolov8n-obb",
    "yolov8n-ghost",
    "yolov8n-rtdetr",
    "yolov9t",
    "yolov9c",
    "yolov9e",
    "yolov10n",
    "yolov10x",
    "yolo11n",
    "yolo11n-seg",
    "yolo11n-pose",
    "yolo11n-obb",
    "yolo12n",
    "yolo12n-seg",
    "yolo26n",
    "yolo26n-seg",
    "yolo26n-sem",
    "yolo26n-pose",
    "yolo26n-obb",
    "yolo26n-p2",
    "yolo26n-p6",
    "rtdetr-l",
    "rtdetr-x",
    "rtdetr-resnet50",
]


def build(definition: Any) -> torch.nn.Module:
    """The network of a definition, by its task, without printing."""
    head = definition["head"][-1][2]
    network = {
        "Segment": tasks.SegmentationModel,
        "Segment26": tasks.SegmentationModel,
        "SemanticSegment": tasks.SemanticSegmentationModel,
        "Pose": tasks.PoseModel,
        "Pose26": tasks.PoseModel,
        "OBB": tasks.OBBModel,
        "OBB26": tasks.OBBModel,
        "RTDETRDecoder": tasks.RTDETRDetectionModel,
    }.get(head, tasks.DetectionModel)
    return network(definition, verbose=False).eval()


def shapes_of(output: Any) -> Any:
    if torch.is_tensor(output):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {key: shapes_of(value) for key, value in output.items()}
    return [shapes_of(value) for value in output] if isinstance(output, (list, tuple)) else output


@pytest.mark.parametrize("stock", STOCK)
def test_a_grafted_model_answers_as_its_stock_model_does(stock: str) -> None:
    """Same strides and same output shapes, head by head: the graft changes where features come from, nothing else."""
    grafted = build(graft(f"{stock}.yaml", "mobilevit_xxs"))
    whole = build(tasks.yaml_model_load(f"{stock}.yaml"))
    assert grafted.stride.tolist() == whole.stride.tolist()
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        assert shapes_of(grafted(images)) == shapes_of(whole(images))


@pytest.mark.parametrize("backbone", list_backbones())
def test_any_variant_fits(backbone: str) -> None:
    model = build(graft("yolo11n.yaml", backbone))
    assert model.stride.tolist() == [8, 16, 32]


def test_what_follows_the_backbone_stays() -> None:
    assert [row[2] for row in graft("yolo11n.yaml", "mobilevit_s")["backbone"]] == [
        *("MobileViT", "Index", "Index", "Index", "SPPF", "C2PSA")
    ]
    assert [row[2] for row in graft("yolov5n-p6.yaml", "mobilevit_s")["backbone"]][4:] == ["Conv", "C3", "SPPF"]
    assert graft("yolov8n-p2.yaml", "mobilevit_s")["backbone"][0][3][2] == {"out_strides": [4, 8, 16, 32]}


def test_scale_letters_stay(tmp_path: Path) -> None:
    write_yaml(graft("yolov8.yaml", "mobilevit_xxs"), tmp_path / "yolov8-mine.yaml")
    write_yaml(graft("yolov8s.yaml", "mobilevit_xxs"), tmp_path / "mine.yaml")
    sizes = {
        name: sum(p.numel() for p in YOLO(tmp_path / f"{name}.yaml").model.parameters())
        for name in ("yolov8-mine", "yolov8n-mine", "yolov8s-mine", "mine")
    }
    assert sizes["yolov8-mine"] == sizes["yolov8n-mine"] < sizes["yolov8s-mine"] == sizes["mine"]


def test_options() -> None:
    definition = graft("yolo11n.yaml", "mobilevit_xs", weights="w.pt", expand_output=True)
    assert definition["backbone"][0][3] == ["mobilevit_xs", "w.pt", {"expand_output": True}]
    assert definition["backbone"][3] == [0, 1, "Index", [384, 2]]


def test_the_stock_definition_is_not_changed() -> None:
    before = tasks.yaml_model_load("yolo11n.yaml")
    graft("yolo11n.yaml", "mobilevit_xs")
    assert tasks.yaml_model_load("yolo11n.yaml") == before


def test_mistakes() -> None:
    with pytest.raises(ValueError, match="unknown backbone 'mobilevit_m'"):
        graft("yolo11n.yaml", "mobilevit_m")
    with pytest.raises(FileNotFoundError, match=r"yolo99\.yaml"):
        graft("yolo99.yaml", "mobilevit_s")
    with pytest.raises(ValueError, match="v2 has no final expansion"):
        graft("yolo11n.yaml", "mobilevitv2_050", expand_output=True)


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_cfg_holds_what_the_script_writes(file: Path, tmp_path: Path) -> None:
    lines = file.read_text().splitlines()
    stock, _, backbone = lines[0].removeprefix("# ").split(" as ")[0].split()
    write_yaml(graft(stock, backbone), tmp_path / file.name, comment=lines[0].removeprefix("# "))
    assert (tmp_path / file.name).read_text() == file.read_text()


def test_cfg_is_complete() -> None:
    wanted = {f"{f}-mobilevit{v}" for f in ("yolov5", "yolov8", "yolo11", "yolo26") for v in ("", "-xs", "-xxs", "v2")}
    assert wanted | {"yolo11-mobilevit-seg"} <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_cfg_builds_and_takes_a_training_step(file: Path) -> None:
    model = YOLO(file).model
    stock = file.read_text().split()[1]
    assert model.stride.tolist() == build(tasks.yaml_model_load(stock)).stride.tolist()
    model.args = ultralytics.utils.DEFAULT_CFG
    model.train()
    batch = {
        "img": torch.rand(2, 3, 128, 128),
        "batch_idx": torch.tensor([0.0, 1.0]),
        "cls": torch.tensor([[0.0], [3.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.4, 0.6, 0.3, 0.2]]),
        "masks": torch.ones(2, 32, 32),
        "sem_masks": torch.zeros(2, 32, 32, dtype=torch.long),
    }
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    before = {k: p.detach().clone() for k, p in model.named_parameters()}
    for _ in range(2):  # the second moves what the transformers' zeros kept from the first
        optimizer.zero_grad()
        loss = model(batch)[0].sum()
        loss.backward()
        optimizer.step()
    assert loss.isfinite()
    changed = [not torch.equal(p, before[k]) for k, p in model.named_parameters() if k.startswith("model.0.")]
    assert sum(changed) > 0.9 * len(changed)  # key biases have no gradient: a softmax does not see them


def test_rtdetr_through_its_own_class(tmp_path: Path) -> None:
    write_yaml(graft("rtdetr-l.yaml", "mobilevit_xxs"), tmp_path / "rtdetr-mine.yaml")
    assert RTDETR(tmp_path / "rtdetr-mine.yaml").model.model[0].name == "mobilevit_xxs"
