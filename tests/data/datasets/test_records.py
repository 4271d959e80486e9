import pickle

import numpy as np
import pytest

from mvdet.data.datasets.records import ImageRecord, Records, pack_objects

RECORDS = [
    ImageRecord("a.jpg", 7, 64, 48, pack_objects([((1, 2, 3, 4), 2, 3.5, True, False)])),
    ImageRecord("b.jpg", 3, 10, 20, pack_objects([])),
    ImageRecord("c.jpg", 9, 5, 5, pack_objects([((0, 0, 5, 5), 1, 25, False, True)] * 3)),
]


@pytest.mark.parametrize("through_pickle", [False, True])
def test_records_come_back_as_they_went_in(through_pickle: bool) -> None:
    records = Records(RECORDS)
    if through_pickle:
        records = pickle.loads(pickle.dumps(records))
    assert len(records) == 3
    for record, wanted in zip(records, RECORDS, strict=True):
        assert (record.file, record.image_id, record.width, record.height) == (
            wanted.file,
            wanted.image_id,
            wanted.width,
            wanted.height,
        )
        assert np.array_equal(record.objects, wanted.objects)
    assert records[-1].image_id == 9
    assert [record.image_id for record in records[::-1]] == [9, 3, 7]
    assert records.image_ids.tolist() == [7, 3, 9]
    assert records.objects["label"].tolist() == [2, 1, 1, 1]
    assert records.objects["box"].dtype == np.float32


@pytest.mark.parametrize("index", [3, -4])
def test_no_such_record(index: int) -> None:
    with pytest.raises(IndexError, match=f"record {index} of 3"):
        Records(RECORDS)[index]


def test_no_records() -> None:
    assert list(Records([])) == []
