"""What `mvdet.pth` (`mvdet.start` from Python 3.15 on) runs at every interpreter start: wait for ultralytics.

Installed beside the package, not in it, so that starting an interpreter imports no `mvdet`, and a script's own folder
still decides which one is meant. Only a finder is put in place. Whenever ultralytics.nn.tasks is imported, in whatever
process, mvdet registers its modules right after that module has been executed. `MVDET_AUTOLOAD=0` switches it off.
"""

import os
import sys

TYPE_CHECKING = False  # as typing's, whose import alone would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

TARGET, REGISTRATION = "ultralytics.nn.tasks", "mvdet.yolo.registration"


class RegisterAfter:
    """A finder that finds nothing itself: it lets the others find `target` and calls `registration.register` after it.

    It stays in place: an import that failed is tried again, and a reload registers again.
    """

    def __init__(self, target: str, registration: str, advice: str = "") -> None:
        self.target = target
        self.registration = registration
        self.advice = advice
        self.asking = False

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec that the other finders give for `target`, nothing for any other name."""
        if name != self.target or self.asking:
            return None
        from importlib.util import find_spec

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
            self.register()

        exec_and_register.registers_mvdet = True  # type: ignore[attr-defined]
        try:
            loader.exec_module = exec_and_register  # type: ignore[method-assign, union-attr]
        except AttributeError as error:  # a loader of somebody else's that lets nothing be set
            self.warn(error)
        return spec

    def install(self) -> None:
        """Put the finder in place, once; register at once where the target has been imported already."""
        if not any(getattr(finder, "registration", None) == self.registration for finder in sys.meta_path):
            sys.meta_path.insert(0, self)
        if self.target in sys.modules:
            self.register()

    def register(self) -> None:
        """Register, or say why not: a failure of ours must not keep anybody from using the target without us."""
        try:
            from importlib import import_module

            module = import_module(self.registration)
            if not getattr(module.__spec__, "_initializing", False):  # it imports the target, and registers at its end
                module.register()
        except Exception as error:
            self.warn(error)

    def warn(self, error: Exception) -> None:
        """Say that mvdet is not registered."""
        import warnings

        warnings.warn(
            f"mvdet could not register with {self.target} ({type(error).__name__}: {error}){self.advice}",
            RuntimeWarning,
            stacklevel=2,
        )


def install() -> None:
    """Register with ultralytics in this process, as soon as it is imported."""
    if os.environ.get("MVDET_AUTOLOAD", "1") != "0":
        RegisterAfter(TARGET, REGISTRATION, "; MVDET_AUTOLOAD=0 keeps it from trying").install()
