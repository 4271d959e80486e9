"""Published weights: list them, fetch one, look into a file, convert it: `python scripts/weights.py --help`."""

import argparse
import sys
from pathlib import Path

from mvdet.checkpoints.download import fetch
from mvdet.checkpoints.formats import FORMATS
from mvdet.checkpoints.manifest import as_markdown, as_text, files_table, get_published, manifest, preprocessing_table
from mvdet.checkpoints.rewrite import rewrite_weights
from mvdet.checkpoints.weights import describe_weights


def main() -> None:
    """Parse the command line and do what it says; a problem is one line, and exit code 1."""
    arguments = _parser().parse_args()
    try:
        arguments.run(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="list | get | inspect | convert")

    command = commands.add_parser("list", help="the published files that mvdet knows")
    command.add_argument("filter", nargs="?", default="", help="show names that contain this, as in mobilevit_s")
    command.add_argument("--preprocessing", action="store_true", help="how they were evaluated, as Markdown")
    command.set_defaults(run=_list)

    command = commands.add_parser("get", help="download a published file, and say where it is")
    command.add_argument("name", help="a name of `list`")
    command.add_argument("--force", action="store_true", help="download it anew, and forget the hash seen before")
    command.set_defaults(run=_get)

    command = commands.add_parser("inspect", help="say what a weights file is")
    command.add_argument("file", type=Path, help="a weights file, or a folder with config.json")
    command.set_defaults(run=_inspect)

    command = commands.add_parser("convert", help="write a weights file under other names")
    command.add_argument("file", type=Path, help="a weights file, or a folder with config.json")
    command.add_argument("output", type=Path, help="the .safetensors file to write")
    command.add_argument("--to", choices=list(FORMATS), default="mvdet", help="whose names to write (default: mvdet)")
    order = command.add_mutually_exclusive_group()
    order.add_argument("--bgr", action="store_true", default=None, help="FILE's network expects BGR images")
    order.add_argument("--rgb", action="store_false", dest="bgr", help="FILE's network expects RGB images")
    command.set_defaults(run=_convert)
    return parser


def _list(arguments: argparse.Namespace) -> None:
    entries = [entry for entry in manifest().values() if arguments.filter in entry.name]
    if not entries:
        raise ValueError(f"no published weights have {arguments.filter!r} in their name")
    print(as_markdown(preprocessing_table(entries)) if arguments.preprocessing else as_text(files_table(entries)))


def _get(arguments: argparse.Namespace) -> None:
    print(fetch(get_published(arguments.name), force=arguments.force))


def _inspect(arguments: argparse.Namespace) -> None:
    info = describe_weights(arguments.file)
    print(f"file           {info.path}")
    print(f"source         {info.source}")
    print(f"variant        {' or '.join(info.variants) or 'not a published one'}")
    print(f"task           {info.task}")
    print(f"classes        {info.num_classes if info.num_classes is not None else 'no head'}")
    print(f"channel order  {'BGR' if info.bgr else 'RGB'} (a guess: what {info.source}'s published files expect)")
    print(f"parameters     {info.num_params:,}")


def _convert(arguments: argparse.Namespace) -> None:
    info = rewrite_weights(arguments.file, arguments.output, to=arguments.to, bgr=arguments.bgr)
    print(f"{arguments.output}: {info.variants[0]}, {info.task}, {info.source}'s names to {arguments.to}'s")


if __name__ == "__main__":
    main()
