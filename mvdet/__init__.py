"""mvdet: MobileViT and MobileViTv2 feature pyramids under YOLO, SSDLite and DeepLabV3.

Importing this package is cheap: the public names below are resolved on first use, so neither torch nor ultralytics is
loaded until something is built, and nothing in the process changes. `import mvdet.torchvision` adds our networks to
torchvision's own registry.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.backbones.cpu import tune_cpu_memory
    from mvdet.backbones.variants import list_backbones
    from mvdet.checkpoints.convert import export_state_dict
    from mvdet.checkpoints.weights import load_weights
    from mvdet.models.backbone import create_backbone
    from mvdet.models.registry import create_model, list_models

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "create_backbone",
    "create_model",
    "export_state_dict",
    "list_backbones",
    "list_models",
    "load_weights",
    "tune_cpu_memory",
]

# Public name -> module that defines it.
_EXPORTS = {
    "create_backbone": "mvdet.models.backbone",
    "list_backbones": "mvdet.backbones.variants",
    "create_model": "mvdet.models.registry",
    "list_models": "mvdet.models.registry",
    "export_state_dict": "mvdet.checkpoints.convert",
    "load_weights": "mvdet.checkpoints.weights",
    "tune_cpu_memory": "mvdet.backbones.cpu",
}


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mvdet' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
