"""What `mvdet.pth` (`mvdet.start` from Python 3.15 on) runs at every interpreter start: wait for ultralytics.

Installed beside the package, not in it, so that starting an interpreter imports no `mvdet`, and a script's own folder
still decides which one is meant. Only a finder is put in place. Whenever ultralytics.nn.tasks is imported, in whatever
process, mvdet registers its modules right after that module has been executed. `MVDET_AUTOLOAD=0` switches it off.

It costs every interpreter its time: nothing is imported that Python has not imported by then, until it is needed.
"""

import os
import sys

TYPE_CHECKING = False  # as typing's, whose import alone would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

TARGET = "ultralytics.nn.tasks"


class Finder:
    """A finder that finds nothing itself: it lets the others find `TARGET` and has mvdet registered after it.

    It stays in place: an import that failed is tried again, and a reload registers again.
    """

    def __init__(self) -> None:
        self.asking = False

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec that the other finders give for `TARGET`, nothing for any other name."""
        if name != TARGET or self.asking:
            return None
        from importlib.util import find_spec  # not at the start of every interpreter

        self.asking = True
        try:
            spec = find_spec(name)
        finally:
            self.asking = False
        loader = spec.loader if spec is not None else None
        exec_module = getattr(loader, "exec_module", None)
        if exec_module is None or getattr(exec_module, "registers_mvdet", False):
            return spec

        def exec_and_register(module: "ModuleType") -> None:
            exec_module(module)
            register()

        exec_and_register.registers_mvdet = True  # type: ignore[attr-defined]
        try:
            loader.exec_module = exec_and_register  # type: ignore[method-assign, union-attr]
        except AttributeError as error:  # a loader of somebody else's that lets nothing be set
            warn(error)
        return spec


FINDER = Finder()


def install() -> None:
    """Register with ultralytics in this process: as soon as it is imported, or at once where it has been."""
    if os.environ.get("MVDET_AUTOLOAD", "1") == "0":
        return
    if FINDER not in sys.meta_path:
        sys.meta_path.insert(0, FINDER)
    if TARGET in sys.modules:
        register()


def register() -> None:
    """Register, or say why not: a failure of ours must not keep anybody from using ultralytics without us."""
    try:
        from mvdet.yolo.registration import register  # torch and ultralytics come with it

        register()
    except Exception as error:
        warn(error)


def warn(error: Exception) -> None:
    """Say that mvdet is not registered."""
    import warnings  # not at the start of every interpreter

    warnings.warn(
        f"mvdet could not register with {TARGET} ({type(error).__name__}: {error}); "
        "MVDET_AUTOLOAD=0 keeps it from trying",
        RuntimeWarning,
        stacklevel=2,
    )
