"""Files that travel with the package."""

from pathlib import Path


def resource(name: str) -> Path:
    """The path of a file such as "weights/manifest.yaml": in the installed package, or in the repository.

    Raises:
        FileNotFoundError: if it is in neither place.
    """
    package = Path(__file__).parent
    for folder in (package, package.parent):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is missing, neither in {package} nor in {package.parent}; install mvdet again")
