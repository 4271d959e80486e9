"""What happens to bad input: it stops the run with a list of what was found, or is left out, counted and logged.

Two kinds of fault are told apart:

- **Structure** that cannot be read (a json that is not COCO, XML that is not well-formed, no image list) is always an
  error: nothing behind it can be trusted.
- **Items** (an image that is missing or cut short, a box without area or outside its image, an unknown category, an id
  that occurs twice, a mask of another size than its image) follow the policy, "error" or "skip". The default is "skip",
  because real data has such items (BCCD has two boxes without area) and they must not keep anyone from training.

A box that only partly leaves its image is no fault: it is clipped.
"""

import logging
from collections import Counter
from enum import StrEnum
from typing import Literal, get_args

BadDataPolicy = Literal["error", "skip"]
DEFAULT_POLICY: BadDataPolicy = "skip"

_LISTED = 10

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


class BadData:
    """Collects the bad items of one data set.

    Args:
        source: the data set's name in messages: its annotation file or folder.
        policy: "error" or "skip".

    Attributes:
        counts: number of items by reason.

    Raises:
        ValueError: unknown policy.
    """

    def __init__(self, source: object, policy: BadDataPolicy = DEFAULT_POLICY) -> None:
        if policy not in get_args(BadDataPolicy):
            raise ValueError(f"on_bad_data must be one of {', '.join(get_args(BadDataPolicy))}, got {policy!r}")
        self.source = str(source)
        self.policy: BadDataPolicy = policy
        self.counts: Counter[Fault] = Counter()
        self._first: list[str] = []

    def report(self, fault: Fault, what: str) -> None:
        """Note one bad item.

        Args:
            fault: the reason it is counted under.
            what: the file, the image or annotation id (or the object's number) and the value found.
        """
        self.counts[fault] += 1
        if len(self._first) < _LISTED:
            self._first.append(f"{fault}: {what}")

    def finish(self) -> None:
        """Call once when everything was looked at: raises under "error", logs one warning under "skip".

        Raises:
            ValueError: the policy is "error" and something was reported; the message lists ten items, counts the rest.
        """
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
