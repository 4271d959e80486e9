import pytest

from mvdet.wording import did_you_mean, first_line, listed, plain, unknown_name_message


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a name", "a name"), ("two\nlines", r"'two\nlines'"), (7, "7"), ("x" * 12, "x" * 10 + "...")],
)
def test_plain(text: object, shown: str) -> None:
    assert plain(text, cut=12 if isinstance(text, str) and "lines" in text else 10) == shown


def test_lists_end() -> None:
    assert listed(range(3)) == "0, 1, 2"
    assert listed(range(12), shown=2) == "0, 1 and 10 more"
    assert listed(["a\nb"]) == r"'a\nb'"


def test_an_error_says_something() -> None:
    assert first_line(ValueError("first\nsecond")) == "first"
    assert first_line(ValueError()) == "ValueError"


def test_the_nearest_names_are_asked_for() -> None:
    allowed = ["mobilevit_xs", "mobilevit_xxs", "resnet18"]
    assert did_you_mean("MobileViT_XS", allowed, most=1) == "did you mean mobilevit_xs? "
    assert did_you_mean("zzz", allowed) == ""
    assert unknown_name_message("backbone", "resnet19", allowed) == (
        "unknown backbone 'resnet19'; did you mean resnet18? available: mobilevit_xs, mobilevit_xxs, resnet18"
    )
