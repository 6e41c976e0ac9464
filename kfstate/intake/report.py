"""What became of an ingest."""

import attrs

__all__ = ["Problem", "Report"]

_PROBLEMS = 100


@attrs.frozen
class Problem:
    """Something that was wrong with what came in: where, and why."""

    source: str
    path: str
    reason: str


@attrs.define
class Report:
    """What became of an ingest.

    ``entries`` were read; ``appended`` are new, ``duplicates`` known; ``late`` sort before what was folded already;
    ``unknown`` are of a kind or change_type that no rule knows; ``conflicts`` have a known msgid and other content;
    ``unplaced`` belong to no conversation for want of ids; ``rejected`` documents are no page and no entry.
    ``problems`` holds the first 100. ``position`` is the head of the log afterwards.
    """

    entries: int = 0
    appended: int = 0
    duplicates: int = 0
    late: int = 0
    unknown: int = 0
    conflicts: int = 0
    unplaced: int = 0
    rejected: int = 0
    problems: list[Problem] = attrs.Factory(list)
    position: int = 0

    @property
    def full(self) -> bool:
        """Whether no further problem would be kept."""
        return len(self.problems) >= _PROBLEMS

    def note(self, source: str, path: str, reason: str) -> None:
        """Keep a problem, if there are not too many yet."""
        if not self.full:
            self.problems.append(Problem(source, path, reason))

    def reject(self, source: str, path: str, reason: str) -> None:
        """Count a document that is no page and no entry."""
        self.rejected += 1
        self.note(source, path, reason)
