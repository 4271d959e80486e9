from mvdet.data.io.ground_truth import CocoImage, GroundTruth, GroundTruthObject, distinct_names

MASK = [[1.0, 1.0, 3.0, 1.0, 3.0, 4.0]]

TRUTH = GroundTruth(
    "set",
    {7: CocoImage(7, "a.png", 20, 10), 3: CocoImage(3, "", None, None)},
    {1: "cat", 4: "dog"},
    (
        GroundTruthObject(7, 4, (1, 1, 2, 3), 3.5, segmentation=MASK),
        GroundTruthObject(7, 1, (0, 0, 5, 5), 25, crowd=True, difficult=True, segmentation=MASK),
    ),
)


def test_as_coco() -> None:
    assert TRUTH.as_coco() == {
        "info": {},
        "images": [
            {"id": 7, "file_name": "a.png", "width": 20, "height": 10},
            {"id": 3, "file_name": "", "width": None, "height": None},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 4, "bbox": [1, 1, 2, 3], "area": 3.5, "iscrowd": 0},
            {
                "id": 2,
                "image_id": 7,
                "category_id": 1,
                "bbox": [0, 0, 5, 5],
                "area": 25,
                "iscrowd": 1,
                "difficult": 1,
            },
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 4, "name": "dog"}],
    }
    assert [item["segmentation"] for item in TRUTH.as_coco(masks=True)["annotations"]] == [MASK, MASK]


def test_only_some_images() -> None:
    assert TRUTH.of_images([3, 7, 99]) is TRUTH
    rest = TRUTH.of_images([3])
    assert (list(rest.images), rest.objects, rest.class_names) == ([3], (), TRUTH.class_names)
    assert TRUTH.of_images([7]).objects == TRUTH.objects


def test_masks_are_looked_at_once() -> None:
    assert TRUTH.mask_fault is None
    without = GroundTruth(
        "set", TRUTH.images, TRUTH.class_names, (*TRUTH.objects, GroundTruthObject(7, 1, (0,) * 4, 0))
    )
    assert (without.mask_fault or "").startswith("set: annotations[2]: segmentation must be polygons or run lengths")


def test_names_that_occur_twice() -> None:
    assert distinct_names({5: "b", 2: "a", 3: "b"}) == {2: "a", 3: "b (id 3)", 5: "b (id 5)"}
