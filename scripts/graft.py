"""Write a stock ultralytics model definition with a MobileViT backbone.

python scripts/graft.py yolo11s.yaml mobilevit_xs yolo11s-mobilevit-xs.yaml
"""

import argparse

from mvdet import list_backbones
from mvdet.yolo import graft, write_yaml


def main() -> None:
    """Parse, graft, write, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="stock model definition, e.g. yolo11.yaml, yolov8s-seg.yaml, rtdetr-l.yaml")
    parser.add_argument("backbone", help=f"one of {', '.join(list_backbones())}")
    parser.add_argument("output", help="YAML file to write")
    parser.add_argument("--weights", help="checkpoint for the backbone")
    parser.add_argument("--expand-output", action="store_true", help="v1's final 1x1 expansion as the map at stride 32")
    args = parser.parse_args()
    try:
        definition = graft(args.model, args.backbone, weights=args.weights, expand_output=args.expand_output)
        comment = f"{args.model} with {args.backbone} as its backbone, by scripts/graft.py."
        write_yaml(definition, args.output, comment=comment)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"wrote {args.output}; train it with: yolo train model={args.output} data=my_data.yaml")


if __name__ == "__main__":
    main()
