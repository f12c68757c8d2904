"""What a source of images must say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class DataSource:
    """Base of all sources.

    Attributes:
        name: its file's name, by which recipes call it.
        opener: the function of its reader that opens a folder, or returns None if there is nothing
            of its kind; given the folder and the `arguments`.
        title: what it is called in sentences.
        layout: what lies in the folder DIR, a line for each kind of file.
        expected: the same within a sentence.
        from_files: whether images are read one by one while training, any of which may be bad.
    """

    name: ClassVar[str]
    opener: ClassVar[str]
    title: ClassVar[str]
    layout: ClassVar[tuple[str, ...]]
    expected: ClassVar[str]
    from_files: ClassVar[bool] = False

    @property
    def many_labels(self) -> bool:
        """Whether an image has any number of labels, so that not every loss will do."""
        return False

    def arguments(self) -> tuple[str, ...]:
        """What the opener is given besides the folder, names of its reader."""
        return ()

    def constants(self) -> tuple[str, ...]:
        """Lines that give names of the reader this recipe's values."""
        return ()
