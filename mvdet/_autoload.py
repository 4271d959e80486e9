"""What `mvdet.pth` (`mvdet.start` from Python 3.15 on) runs at every interpreter start: wait for ultralytics.

Only a finder is put in place. When ultralytics.nn.tasks is imported, in whatever process, mvdet registers its modules
right after that module has been executed. `MVDET_AUTOLOAD=0` switches it off.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

TARGET = "ultralytics.nn.tasks"


class _RegisterAfter:
    """A finder that finds nothing itself: it lets the others find `TARGET` and adds a step after its execution."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name != TARGET:
            return None
        sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        loader = spec.loader if spec is not None else None
        if loader is None:
            return spec
        exec_module = loader.exec_module

        def exec_and_register(module: "ModuleType") -> None:
            exec_module(module)
            _register()

        loader.exec_module = exec_and_register  # type: ignore[method-assign]
        return spec


def _register() -> None:
    """Register, or say why not: a failure of ours must not keep anybody from using ultralytics without us."""
    try:
        from mvdet.yolo.registration import register

        register()
    except Exception as error:
        import warnings

        warnings.warn(
            f"mvdet could not register its modules with ultralytics ({type(error).__name__}: {error}); "
            "MVDET_AUTOLOAD=0 silences this",
            RuntimeWarning,
            stacklevel=2,
        )


def install() -> None:
    """Put the finder in place, once; register at once where ultralytics has been imported already."""
    if os.environ.get("MVDET_AUTOLOAD", "1") == "0":
        return
    if TARGET in sys.modules:
        _register()
    elif not any(isinstance(finder, _RegisterAfter) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RegisterAfter())
