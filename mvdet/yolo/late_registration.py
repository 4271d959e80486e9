"""The part of the registration that has to wait until ultralytics' `Model` is there, after its networks."""

from mvdet.yolo.patches import LATE_PATCHES


def register() -> None:
    """Apply `mvdet.yolo.patches.LATE_PATCHES`; calling it again changes nothing."""
    for patch in LATE_PATCHES:
        patch.apply()
