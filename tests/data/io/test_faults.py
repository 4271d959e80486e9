import logging

import pytest

from mvdet.data.io.faults import BadData, Fault, Remark


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


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_remarks_are_logged_with_the_first_items_under_either_policy(
    policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad_data = BadData("set", policy)  # type: ignore[arg-type]
    for n in range(5):
        bad_data.remark(Remark.UNSAID_SIZE, f"{n}.xml")
    bad_data.remark(Remark.ENCLOSING_BOX, "a.xml")
    with caplog.at_level(logging.WARNING):
        bad_data.finish()
    (record,) = caplog.records
    assert record.message.splitlines() == [
        f"set: 5 x {Remark.UNSAID_SIZE}: 0.xml; 1.xml; 2.xml; and 2 more",
        f"set: 1 x {Remark.ENCLOSING_BOX}: a.xml",
    ]
    assert bad_data.summary() == "set: no bad items"
