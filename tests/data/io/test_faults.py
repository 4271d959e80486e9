import logging
import math

import pytest

from mvdet.data.io.faults import BadData, Fault, box_fault, clip_box


def collect(policy: str, number: int) -> BadData:
    bad_data = BadData("set.json", policy)  # type: ignore[arg-type]
    for index in range(number):
        bad_data.report(Fault.NO_AREA if index % 3 else Fault.OUTSIDE, f"annotation {index}")
    return bad_data


def test_error_lists_ten_and_counts_the_rest() -> None:
    with pytest.raises(ValueError, match=r"^set.json: found 14 bad items \(box without area 9, box outside") as error:
        collect("error", 14).finish()
    lines = str(error.value).splitlines()
    assert [line.strip() for line in lines if "annotation" in line] == [
        f"{Fault.NO_AREA if index % 3 else Fault.OUTSIDE}: annotation {index}" for index in range(10)
    ]
    assert "and 4 more" in str(error.value)
    assert "--on-bad-data skip" in lines[-1]


def test_skip_counts_by_reason_and_logs_once(caplog: pytest.LogCaptureFixture) -> None:
    bad_data = collect("skip", 5)
    with caplog.at_level(logging.WARNING):
        bad_data.finish()
    assert bad_data.counts == {Fault.NO_AREA: 3, Fault.OUTSIDE: 2}
    (record,) = caplog.records
    assert record.message == bad_data.summary()
    assert "left out 5 bad items" in record.message
    assert "annotation 4" in record.message
    assert "more" not in record.message


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_nothing_bad_is_not_reported(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    bad_data = collect(policy, 0)
    bad_data.finish()
    assert not caplog.records
    assert bad_data.summary() == "set.json: no bad items"


def test_skip_is_the_default() -> None:
    assert BadData("x").policy == "skip"


def test_unknown_policies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"on_bad_data must be one of error, skip, got 'warn'"):
        collect("warn", 0)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((0, 0, 64, 48), None),
        ((63, 47, 64, 48), None),
        ((-5, -5, 1, 1), None),
        ((-5, -5, 100, 100), None),
        ((10, 10, 10, 20), Fault.NO_AREA),
        ((10, 20, 15, 20), Fault.NO_AREA),
        ((15, 10, 10, 20), Fault.NO_AREA),
        ((-5, 0, 0, 10), Fault.OUTSIDE),
        ((64, 0, 70, 10), Fault.OUTSIDE),
        ((0, -9, 10, 0), Fault.OUTSIDE),
        ((0, 48, 10, 50), Fault.OUTSIDE),
        ((math.nan, 0, 10, 10), Fault.NOT_A_BOX),
        ((0, 0, math.inf, 10), Fault.NOT_A_BOX),
        ((0, 0, 10), Fault.NOT_A_BOX),
    ],
)
def test_boxes(box: tuple[float, ...], fault: Fault | None) -> None:
    assert box_fault(box, 64, 48) == fault


def test_boxes_are_clipped() -> None:
    assert clip_box((-5, 3, 100, 100), 64, 48) == (0, 3, 64, 48)
    assert clip_box((1, 2, 3, 4), 64, 48) == (1, 2, 3, 4)
