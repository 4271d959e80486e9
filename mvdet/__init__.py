"""mvdet: MobileViT and MobileViTv2 feature pyramids under YOLO, SSDLite and DeepLabV3.

Importing this package is cheap: the public names below are resolved on first use, so neither torch nor ultralytics is
loaded until something is built. Once torchvision is imported, its `get_model` knows our networks.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mvdet.backbones.registry import create_backbone, list_backbones
    from mvdet.checkpoints.convert import export_state_dict
    from mvdet.checkpoints.load import load_weights
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
]

# Public name -> module that defines it.
_EXPORTS = {
    "create_backbone": "mvdet.backbones.registry",
    "list_backbones": "mvdet.backbones.registry",
    "create_model": "mvdet.models.registry",
    "list_models": "mvdet.models.registry",
    "export_state_dict": "mvdet.checkpoints.convert",
    "load_weights": "mvdet.checkpoints.load",
}


def _import_after(target: str, registration: str) -> None:
    """Have the module `registration` imported, and its `register` called, once `target` is imported."""
    try:
        hook = import_module("mvdet._startup._mvdet_autoload")  # in a source tree
    except ModuleNotFoundError:
        hook = import_module("_mvdet_autoload")  # installed: beside the package
    hook.RegisterAfter(target, registration).install()


_import_after("torchvision.models", "mvdet.torchvision_registry")


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'mvdet' has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
