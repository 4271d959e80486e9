"""Images and their annotation files, one each, by name: from a list, or all of a folder."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mvdet.data.formats.layout import Place, split_kind
from mvdet.data.formats.listing import images_below
from mvdet.data.io.faults import BadData, Fault
from mvdet.data.io.listing import is_file, visible_files
from mvdet.data.io.voc import image_files, read_image_list

Pair = tuple[Path, Path]


def paired_files(places: Sequence[Place], suffix: str | None = None) -> Iterator[Pair]:
    """Each image with the annotation file that it should have; either may be missing where a list names them.

    Args:
        places: where the images and the annotation files lie, one after the other.
        suffix: what follows an image's name in that of its annotation file; None takes the places' own.

    Raises:
        FileNotFoundError: no such list.
        ValueError: a list is malformed.
    """
    for place in places:
        end = place.suffix if suffix is None else suffix
        yield from _of_folder(place, end) if place.names is None else _of_list(place, place.names, end)


def numbered_pairs(
    places: Sequence[Place], bad_data: BadData, suffix: str | None = None
) -> Iterator[tuple[int, Path, Path]]:
    """The pairs of `paired_files` with numbers from 1; one whose annotation file came before is reported.

    That is an image that is listed twice, or a second one of the same name (`NAME.jpg`, `NAME.png`).
    """
    owners: dict[Path, Path] = {}
    for image_id, (image, file) in enumerate(paired_files(places, suffix), start=1):
        if file not in owners:
            owners[file] = image
            yield image_id, image, file
            continue
        what = "is listed already" if owners[file] == image else f"{file} belongs to {owners[file]} already"
        bad_data.report(Fault.DUPLICATE_ID, f"image {image_id}: {image}: {what}")


def left_over(places: Sequence[Place], used: set[Path], suffix: str | None = None) -> list[Path]:
    """The annotation files of whole folders that no image has.

    Args:
        places: as for `paired_files`.
        used: the annotation files that images have.
        suffix: as for `paired_files`.
    """
    found = []
    for place in places:
        if place.names is None and place.annotations is not None:
            end = place.suffix if suffix is None else suffix
            files = [file for file in visible_files(place.annotations, [Path(end).suffix or end]) if file not in used]
            # annotations of all splits in one folder, images in one each: those of other splits are no concern
            shared = split_kind(place.images.name) and place.annotations.name != place.images.name
            others = {image.stem for image in images_below(place.images.parent)} if files and shared else set()
            found += [file for file in files if file.name.endswith(end) and file.name[: -len(end)] not in others]
    return found


def _of_list(place: Place, names: Path, suffix: str) -> Iterator[Pair]:
    folder = _annotations(place)
    files = image_files(place.images)
    for name in read_image_list(names, files):
        yield place.images / files.get(name, f"{name}.jpg"), _existing(folder / f"{name}{suffix}")


def _of_folder(place: Place, suffix: str) -> Iterator[Pair]:
    folder = _annotations(place)
    beside = folder == place.images
    for image in images_below(place.images):
        if beside and image.name.endswith(suffix):
            continue  # a mask
        stem = image.relative_to(place.images).with_suffix("")
        own, flat = (folder / one.parent / f"{one.name}{suffix}" for one in (stem, Path(stem.name)))
        yield image, _existing(own if is_file(own) or not is_file(flat) else flat)


def _annotations(place: Place) -> Path:
    assert place.annotations is not None
    return place.annotations


def _existing(file: Path) -> Path:
    """The file, or the one whose suffix is written in capitals."""
    upper = file.with_suffix(file.suffix.upper())
    return upper if not is_file(file) and is_file(upper) else file
