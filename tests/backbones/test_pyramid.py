"""What every variant owes: sizes, channels, strides, fusing, export."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from mvdet import create_backbone, list_backbones
from mvdet.backbones import VARIANTS
from mvdet.backbones.layers import InvertedResidual

LEVELS = (2, 4, 8, 16, 32)
Difference = Callable[[Tensor, Tensor], float]
Randomise = Callable[[nn.Module], None]

every_variant = pytest.mark.parametrize("name", list_backbones())
one_of_each_version = pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])


@every_variant
def test_channels_are_the_published_ones(name: str) -> None:
    backbone = create_backbone(name, out_strides=LEVELS)
    assert backbone.channels == tuple(stage.out_channels for stage in VARIANTS[name].stages)
    assert backbone.strides == LEVELS
    assert backbone.size_divisibility == 32


@every_variant
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 96), (100, 161), (224, 224)])
def test_every_map_has_the_size_of_the_contract(name: str, size: tuple[int, int]) -> None:
    backbone = create_backbone(name, out_strides=LEVELS).eval()
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, *size))
    for x, channels, stride in zip(maps, backbone.channels, backbone.strides, strict=True):
        assert x.shape == (2, channels, -(-size[0] // stride), -(-size[1] // stride))


@one_of_each_version
@pytest.mark.parametrize("out_strides", [(2,), (8,), (4, 16), (8, 16, 32), (2, 4, 8, 16, 32), [16, 32]])
def test_any_subset_of_levels_is_the_same_maps(name: str, out_strides: tuple[int, ...], randomise: Randomise) -> None:
    whole = create_backbone(name, out_strides=LEVELS).eval()
    randomise(whole)
    part = create_backbone(name, out_strides=out_strides).eval()
    part.load_state_dict({k: v for k, v in whole.state_dict().items() if k in part.state_dict()})
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = dict(zip(LEVELS, whole(images), strict=True))
        for stride, x in zip(out_strides, part(images), strict=True):
            assert torch.equal(x, wanted[stride])


@one_of_each_version
@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("size", [(64, 96), (65, 81)])
def test_output_stride_keeps_the_resolution(name: str, output_stride: int, size: tuple[int, int]) -> None:
    backbone = create_backbone(name, out_strides=LEVELS, output_stride=output_stride).eval()
    assert backbone.strides == tuple(min(s, output_stride) for s in LEVELS)
    assert backbone.size_divisibility == output_stride
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, *size))
    assert [x.shape[-2:] for x in maps] == [tuple(-(-n // s) for n in size) for s in backbone.strides]


@pytest.mark.parametrize(
    ("name", "output_stride", "dilations"),
    [
        # (depthwise convolution of the residual, 3x3 convolution of the block) at level 16 and at level 32
        ("mobilevit_xxs", 32, [(1, 1), (1, 1)]),
        ("mobilevit_xxs", 16, [(1, 1), (1, 1)]),
        ("mobilevit_xxs", 8, [(1, 1), (2, 1)]),
        ("mobilevitv2_050", 32, [(1, 1), (1, 1)]),
        ("mobilevitv2_050", 16, [(1, 1), (1, 2)]),
        ("mobilevitv2_050", 8, [(1, 2), (2, 4)]),
    ],
)
def test_dilation_is_the_published_one(name: str, output_stride: int, dilations: list[tuple[int, int]]) -> None:
    backbone = create_backbone(name, output_stride=output_stride)
    found = [(s[0].depthwise.conv.dilation[0], s[1].local_conv.conv.dilation[0]) for s in backbone.stages[3:]]
    assert found == dilations


@pytest.mark.parametrize("in_channels", [1, 4, 12])
def test_any_number_of_input_channels(in_channels: int) -> None:
    backbone = create_backbone("mobilevit_xxs", in_channels=in_channels).eval()
    with torch.no_grad():
        assert len(backbone(torch.rand(1, in_channels, 64, 64))) == 3
        with pytest.raises(ValueError, match=rf"\[B, {in_channels}, H, W\], got \[1, 2, 64, 64\]"):
            backbone(torch.rand(1, 2, 64, 64))


def test_integer_images_are_refused() -> None:
    with pytest.raises(TypeError, match=r"floating point in \[0, 1\], got torch.uint8"):
        create_backbone("mobilevit_xxs")(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize(("name", "channels"), [("mobilevit_xxs", 320), ("mobilevit_xs", 384), ("mobilevit_s", 640)])
def test_expand_output(name: str, channels: int) -> None:
    backbone = create_backbone(name, expand_output=True).eval()
    assert backbone.channels[-1] == channels
    with torch.no_grad():
        assert backbone(torch.rand(1, 3, 64, 64))[-1].shape == (1, channels, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"out_strides": ()}, r"non-empty subset of \(2, 4, 8, 16, 32\), got \(\)"),
        ({"out_strides": (8, 64)}, r"got \(8, 64\)"),
        ({"out_strides": (16, 8)}, r"ascending and without repeats, got \(16, 8\)"),
        ({"out_strides": (8, 8)}, r"without repeats, got \(8, 8\)"),
        ({"output_stride": 4}, r"output_stride must be one of \(8, 16, 32\), got 4"),
        ({"in_channels": 0}, r"in_channels must be a positive integer, got 0"),
        ({"expand_output": True}, r"v2 has no final expansion"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_backbone("mobilevitv2_050", **arguments)


def test_expansion_needs_the_deepest_level() -> None:
    with pytest.raises(ValueError, match=r"needs level 32 in out_strides, got \(8, 16\)"):
        create_backbone("mobilevit_s", out_strides=(8, 16), expand_output=True)


@every_variant
def test_fuse_keeps_the_outputs(name: str, difference: Difference, randomise: Randomise) -> None:
    backbone = create_backbone(name, out_strides=LEVELS).eval()
    randomise(backbone)
    images = torch.rand(2, 3, 96, 64)
    wanted = [x.detach() for x in backbone(images)]
    with torch.no_grad():
        unfused = backbone(images)
        fused = backbone.fuse()(images)
        again = backbone.fuse()(images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())
    assert all(difference(x, y) < 1e-4 for x, y in zip(unfused, wanted, strict=True))
    assert all(difference(x, y) < 1e-4 for x, y in zip(fused, wanted, strict=True))
    assert all(torch.equal(x, y) for x, y in zip(again, fused, strict=True))


@every_variant
def test_maps_stay_in_channels_last(name: str) -> None:
    """One copy of the feature map is what the layout promises: no stage may fall back to the default layout."""
    backbone = create_backbone(name, out_strides=LEVELS).eval().fuse()
    with torch.no_grad():
        maps = backbone(torch.rand(2, 3, 64, 96))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in maps)


@every_variant
def test_gradients_reach_every_parameter(name: str, randomise: Randomise) -> None:
    backbone = create_backbone(name)
    randomise(backbone)
    sum(x.square().mean() for x in backbone(torch.rand(2, 3, 64, 64))).backward()
    without = [key for key, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@every_variant
def test_residual_branches_start_as_the_identity(name: str) -> None:
    backbone = create_backbone(name)
    for block in backbone.modules():
        if isinstance(block, InvertedResidual) and block.has_skip:
            x = torch.randn(2, block.expand.conv.in_channels, 8, 8)
            assert torch.equal(block(x), x)
    for stage in backbone.stages[2:]:
        layer = stage[1].transformer[0]
        dim = layer.attn.proj.weight.shape[0]
        x = torch.randn(2, 6, dim) if VARIANTS[name].version == 1 else torch.randn(2, dim, 4, 6)
        assert torch.equal(layer(x), x)


@one_of_each_version
def test_inference_does_not_write_to_its_input(name: str, randomise: Randomise) -> None:
    backbone = create_backbone(name).eval().fuse()
    randomise(backbone)
    images = torch.rand(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    before = images.clone()
    with torch.no_grad():
        first = [x.clone() for x in backbone(images)]
        second = backbone(images)
    assert torch.equal(images, before)
    assert all(torch.equal(x, y) for x, y in zip(first, second, strict=True))


@one_of_each_version
def test_half_precision(name: str) -> None:
    backbone = create_backbone(name).eval().to(torch.bfloat16)
    with torch.no_grad():
        assert all(
            x.dtype is torch.bfloat16 and x.isfinite().all() for x in backbone(torch.rand(1, 3, 64, 64).bfloat16())
        )


@one_of_each_version
def test_torch_export_keeps_batch_and_size_dynamic(name: str, difference: Difference, randomise: Randomise) -> None:
    backbone = create_backbone(name).eval()
    randomise(backbone)
    # From 65 pixels on: PyTorch's convolution asks for more than one row at stride 32 to decide on a memory layout.
    shape = {0: Dim("batch"), 2: Dim("height", min=65), 3: Dim("width", min=65)}
    with torch.no_grad():
        exported = torch.export.export(backbone, (torch.rand(2, 3, 97, 130),), dynamic_shapes=(shape,))
        program = exported.module()
        for size in [(1, 3, 65, 320), (3, 3, 128, 96), (2, 3, 161, 225)]:
            images = torch.rand(size)
            assert all(difference(x, y) < 1e-5 for x, y in zip(program(images), backbone(images), strict=True))
    calls = [node for node in exported.graph.nodes if node.op == "call_function"]
    values = [value for node in calls for value in [node.meta["val"]] if isinstance(value, torch.Tensor)]
    assert max(value.dim() for value in values) <= 4  # what phones' runtimes take
    assert not [node for node in calls if node.target.__name__.partition(".")[0].endswith("_")]  # in place


@one_of_each_version
def test_torchscript_trace_keeps_batch_and_size_dynamic(
    name: str, difference: Difference, randomise: Randomise
) -> None:
    backbone = create_backbone(name).eval()
    randomise(backbone)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks of the input's shape are Python, and say so when traced
        traced = torch.jit.trace(backbone, torch.rand(2, 3, 64, 96))
        for size in [(1, 3, 32, 32), (3, 3, 97, 131), (2, 3, 160, 224)]:
            images = torch.rand(size)
            assert all(difference(x, y) < 1e-5 for x, y in zip(traced(images), backbone(images), strict=True))


@one_of_each_version
def test_compiled_training_and_inference_have_no_graph_breaks(
    name: str, difference: Difference, randomise: Randomise
) -> None:
    """Dynamo records the network whole (fullgraph); the graph's own numbers and gradients are those of eager mode."""
    torch.compiler.reset()
    backbone = create_backbone(name)
    randomise(backbone)
    images = torch.rand(2, 3, 64, 96)
    compiled = torch.compile(backbone, fullgraph=True, backend="aot_eager")
    gradients = []
    for network in (backbone, compiled):
        backbone.zero_grad()
        sum(x.square().mean() for x in network(images)).backward()
        gradients.append([p.grad.clone() for p in backbone.parameters() if p.grad is not None])
    largest = max(g.abs().max() for g in gradients[0])  # a bias before a normalisation has none but rounding errors
    assert all((x - y).abs().max() < 1e-4 * largest for x, y in zip(*gradients, strict=True))
    backbone.eval().fuse()
    with torch.inference_mode():
        compiled = torch.compile(backbone, fullgraph=True, backend="aot_eager")
        assert all(difference(x, y) < 1e-5 for x, y in zip(compiled(images), backbone(images), strict=True))


@one_of_each_version
def test_odd_maps_are_stretched_as_apple_does(name: str) -> None:
    """At stride 32 a 96-pixel image has a 3x3 map: it must be attended to as 4x4, not cut or padded to even."""
    backbone = create_backbone(name, out_strides=(32,)).eval()
    sizes = []
    transformer = backbone.stages[4][1].transformer
    handle = transformer.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape))
    with torch.no_grad():
        (x,) = backbone(torch.rand(1, 3, 96, 96))
    handle.remove()
    dim = VARIANTS[name].stages[4].attention_dim
    assert sizes == [(4, 4, dim) if VARIANTS[name].version == 1 else (1, dim, 4, 4)]
    assert x.shape[-2:] == (3, 3)
