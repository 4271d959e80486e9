"""What happens to bad input: it stops the run with a list of what was found, or is left out, counted and logged.

Three kinds are told apart:

- **Structure**: a file that the whole set hangs on and that cannot be read (a json that is not COCO, no image list) is
  always an error: nothing behind it can be trusted.
- **Items** follow the policy, "error" or "skip": one file of many (a picture, a mask or an annotation file that is
  missing, broken or cut short) or one entry in a file (a box without area or outside its image, an unknown category, an
  id that occurs twice, an id or a size of the wrong type). The default is "skip", because real data has such items
  (BCCD has two boxes without area) and they must not keep anyone from training.
- **Remarks** are about items that are used, in a way that the user should know of: they are logged under either policy.

What nothing uses is not judged, and a box that only partly leaves its image is no fault: it is clipped.
"""

import logging
from collections import Counter
from enum import StrEnum
from typing import Literal, get_args

BadDataPolicy = Literal["error", "skip"]
DEFAULT_POLICY: BadDataPolicy = "skip"

_LISTED = 10
_REMARKS_LISTED = 3  # of each kind

logger = logging.getLogger(__name__)


class Fault(StrEnum):
    """The reasons that items are counted by."""

    MISSING_IMAGE = "missing image"
    MISSING_ANNOTATION = "missing annotation file"
    UNREADABLE_ANNOTATION = "annotation file that cannot be read"
    UNREADABLE_IMAGE = "unreadable image"
    OTHER_SIZE = "image of another size than annotated"
    UNKNOWN_IMAGE = "annotation of an unknown image"
    UNKNOWN_CATEGORY = "unknown category"
    BAD_IMAGE = "image entry without an id, a name or a size that can be used"
    BAD_CATEGORY = "category without an id or a name that can be used"
    BAD_ID = "annotation without ids that can be used"
    NO_NAME = "object without a class name"
    DUPLICATE_ID = "id that occurs twice"
    BAD_ROW = "label row that cannot be read"
    NOT_A_BOX = "box that is not four numbers"
    NO_AREA = "box without area"
    OUTSIDE = "box outside its image"
    BAD_AREA = "area that is not a number of 0 or more"
    BAD_FLAG = "flag that is not 0 or 1"
    MISSING_MASK = "missing mask"
    UNREADABLE_MASK = "unreadable mask"
    NO_INDEX_MASK = "mask that holds no class numbers"
    UNKNOWN_LABEL = "mask with an unknown class number"
    OTHER_MASK_SIZE = "mask of another size than its image"


class Remark(StrEnum):
    """What is said of items that are used."""

    GUESSED_ENCODING = "file whose encoding was guessed"
    NO_LABELS = "image without a label file, taken as showing no object"
    UNSAID_SIZE = "annotation without a size, taken from the picture"
    ENCLOSING_BOX = "polygon or rotated box, taken as the upright box around it"
    UNKNOWN_DIFFICULT = "difficult that is neither 0 nor 1, taken as 0"
    DOUBTFUL_ORIENTATION = "picture turned by its EXIF orientation, where the annotations may count it unturned"


class BadItemError(ValueError):
    """One item that cannot be used: a file of many, or an entry in a file.

    Attributes:
        fault: what it is counted under.
    """

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class BadData:
    """Collects the bad items of one data set, and what is to be said of others.

    Args:
        source: the data set's name in messages: its annotation file or folder.
        policy: "error" or "skip".

    Attributes:
        counts: number of bad items by reason.
        remarks: number of remarks by what they say.

    Raises:
        ValueError: unknown policy.
    """

    def __init__(self, source: object, policy: BadDataPolicy = DEFAULT_POLICY) -> None:
        if policy not in get_args(BadDataPolicy):
            raise ValueError(f"on_bad_data must be one of {', '.join(get_args(BadDataPolicy))}, got {policy!r}")
        self.source = str(source)
        self.policy: BadDataPolicy = policy
        self.counts: Counter[Fault] = Counter()
        self.remarks: Counter[Remark] = Counter()
        self._first: list[str] = []
        self._first_remarks: dict[Remark, list[str]] = {}

    def report(self, fault: Fault, what: str) -> None:
        """Note one bad item.

        Args:
            fault: the reason it is counted under.
            what: the file, the image or annotation id (or the object's number) and the value found.
        """
        self.counts[fault] += 1
        if len(self._first) < _LISTED:
            self._first.append(f"{fault}: {what}")

    def remark(self, remark: Remark, what: str) -> None:
        """Note something about one item that is used.

        Args:
            remark: what it is counted under.
            what: the file or the place, and the value found.
        """
        self.remarks[remark] += 1
        first = self._first_remarks.setdefault(remark, [])
        if len(first) < _REMARKS_LISTED:
            first.append(what)

    def remarks_summary(self) -> str:
        """Each remark with its count and the first items, one a line; empty where there is none."""
        lines = []
        for remark, count in self.remarks.most_common():
            first = self._first_remarks[remark]
            more = f"; and {count - len(first)} more" if count > len(first) else ""
            lines.append(f"{self.source}: {count} x {remark}: {'; '.join(first)}{more}")
        return "\n".join(lines)

    def finish(self) -> None:
        """Call once when everything was looked at: logs the remarks, and raises under "error", or logs under "skip".

        Raises:
            ValueError: the policy is "error" and something was reported; the message lists ten items, counts the rest.
        """
        if self.remarks:
            logger.warning("%s", self.remarks_summary())
        if not self.counts:
            return
        if self.policy == "error":
            raise ValueError(f"{self.summary()}\non_bad_data='skip' (--on-bad-data skip) leaves them out")
        logger.warning("%s", self.summary())

    def summary(self) -> str:
        """The counts by reason, then the first ten items, one a line."""
        if not self.counts:
            return f"{self.source}: no bad items"
        counts = ", ".join(f"{fault} {count}" for fault, count in self.counts.most_common())
        verb = "found" if self.policy == "error" else "left out"
        lines = [f"{self.source}: {verb} {self.counts.total()} bad items ({counts})", *self._first]
        if (rest := self.counts.total() - len(self._first)) > 0:
            lines.append(f"and {rest} more")
        return "\n  ".join(lines)
