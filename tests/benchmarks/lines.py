"""The lines that are measured: what, beside what, and the ratio to reach."""

import attrs

__all__ = ["LINES", "Beside", "Line", "Run"]

BASE, SMALL, LARGE, SERVER = "base", "small", "large", "server"
TUNED = "eventsourcing, tuned"
STOCK = "eventsourcing, as it comes"
DEFAULT = "eventsourcing, its default mode (a table lock)"
FAST = "eventsourcing, its database functions (no lock)"


@attrs.frozen
class Run:
    """A subject, by its name, and the folder it works in."""

    subject: str
    folder: str = BASE


@attrs.frozen
class Beside:
    """What a line is compared with.

    The ratio is speed over speed, or where ``cost`` is set cost over cost, of memory where that says so. ``wanted`` is
    the ratio to reach, or to stay under where it is one of costs; None: for information.
    """

    run: Run
    label: str
    wanted: float | None = None
    cost: str = ""


@attrs.frozen
class Line:
    """One thing that is measured; ``unit`` is what the subject counts."""

    key: str
    title: str
    run: Run
    unit: str
    beside: tuple[Beside, ...]
    large: bool = False
    server: bool = False
    """Whether it needs a PostgreSQL server."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """Every subject of the line, in the order in which a round runs them."""
        return (self.run, *(beside.run for beside in self.beside))


REPLAYED = (
    Beside(Run("raw:read"), "the driver's read of the same columns", 0.3),
    Beside(Run("tuned:replay"), f"{TUNED}: repository.get of each", 10),
    Beside(Run("stock:replay"), f"{STOCK}: repository.get of each"),
)
"""What every replay from the database is compared with."""

LINES = (
    Line(
        "ingest",
        "Ingest pages of 1,000: decode, append, chain, inline projections",
        Run("ours:ingest"),
        "entries/s",
        (
            Beside(Run("raw:ingest"), "executemany of the same entry and payload rows", 0.25),
            Beside(Run("tuned:ingest"), f"{TUNED}, one projection", 8),
            Beside(Run("stock:ingest"), f"{STOCK}, one projection, a save per page"),
            Beside(Run("stock:command"), f"{STOCK}, one projection, a save per entry"),
        ),
    ),
    Line(
        "replay",
        "Replay: read and fold to the state of every conversation",
        Run("ours:replay"),
        "entries/s",
        REPLAYED,
    ),
    Line(
        "replay-columnar",
        "The same with the extra columnar",
        Run("columnar:log"),
        "entries/s",
        REPLAYED,
    ),
    Line(
        "columnar",
        "Columnar replay from Parquet, one process, one thread",
        Run("columnar:one"),
        "entries/s",
        (
            Beside(Run("ours:replay"), "the replay from the database"),
            Beside(
                Run("columnar:two"),
                "the same by two processes that run already: speed of one over it (0.59: 1.7 times)",
                None,
            ),
        ),
    ),
    Line(
        "verify",
        "Verify the log, one process",
        Run("keeping:verify"),
        "entries/s",
        (
            Beside(Run("keeping:hashed"), "SHA-256 of the same bytes alone, three hashes an entry", 0.2),
            Beside(Run("keeping:read"), "the driver's read of the same rows"),
        ),
    ),
    Line(
        "export",
        "Export to Parquet, one process",
        Run("keeping:export"),
        "entries/s",
        (Beside(Run("keeping:read"), "the driver's read of the same rows"),),
    ),
    Line(
        "rebuild",
        "Rebuild all projections",
        Run("ours:rebuild"),
        "entries/s",
        (Beside(Run("raw:rebuild"), "executemany of the projections' rows", 0.5),),
    ),
    Line(
        "state",
        "Current state of one conversation",
        Run("ours:state"),
        "states/s",
        (
            Beside(Run("raw:state"), "the driver's select by primary key", 2, "time"),
            Beside(Run("tuned:state"), f"{TUNED}: repository.get", None, "time"),
        ),
    ),
    Line(
        "feed",
        "Scan the whole feed",
        Run("feed:scan"),
        "entries/s",
        (Beside(Run("feed:bare_scan"), "the driver's read of the same columns and payloads", 0.5),),
    ),
    Line(
        "crowd",
        "16 threads on PostgreSQL, one entry per call, with chain and all projections",
        Run("crowd_ours:one", SERVER),
        "entries/s",
        (
            Beside(Run("crowd_theirs:one", SERVER), f"{DEFAULT}: one event per save, no projection", 4),
            Beside(Run("crowd_theirs:fast", SERVER), f"{FAST}: the same", 1),
        ),
        server=True,
    ),
    Line(
        "crowd-batches",
        "16 threads on PostgreSQL, 20 entries per call, with chain and all projections",
        Run("crowd_ours:batches", SERVER),
        "entries/s",
        (
            Beside(Run("crowd_theirs:batches", SERVER), f"{DEFAULT}: 20 events per save, no projection", 2),
            Beside(Run("crowd_theirs:batches_fast", SERVER), f"{FAST}: the same"),
        ),
        server=True,
    ),
    Line(
        "crowd-async",
        "200 tasks of an AsyncEngine on PostgreSQL, one entry per call",
        Run("crowd_ours:tasks", SERVER),
        "entries/s",
        (Beside(Run("crowd_ours:one", SERVER), "the same from 16 threads of an Engine", 1),),
        server=True,
    ),
    Line(
        "wake",
        "From a commit to the handler of a subscription in another engine, PostgreSQL (100/s: a median of 10 ms)",
        Run("feed:wake", SERVER),
        "wake-ups/s",
        (Beside(Run("feed:bare_wake", SERVER), "a bare NOTIFY to a bare LISTEN", None, "time"),),
        server=True,
    ),
    Line(
        "callback",
        "A callback's answer while its service pulls 1,000 entries/s, PostgreSQL (20/s: 50 ms at the 99th percentile)",
        Run("callbacks:answered", SERVER),
        "answers/s",
        (
            Beside(
                Run("callbacks:bare", SERVER),
                "an application that answers at once, beside the same pulls",
                None,
                "time",
            ),
        ),
        server=True,
    ),
    Line(
        "growth",
        "Ingest at 1,000,000 entries",
        Run("ours:grow", LARGE),
        "entries/s",
        (Beside(Run("ours:grow", SMALL), "the same at 100,000", 1.3, "time"),),
        large=True,
    ),
    Line(
        "growth-replay",
        "Replay of 1,000,000 entries",
        Run("ours:replay", LARGE),
        "entries/s",
        (Beside(Run("ours:replay"), "the same of 100,000: time per entry", 1.3, "time"),),
        large=True,
    ),
    Line(
        "growth-memory",
        "Memory of a replay of 1,000,000 entries, with a database cache of 1 MB",
        Run("ours:hold", LARGE),
        "entries/s",
        (Beside(Run("ours:hold"), "the same of 100,000: memory", 1.3, "memory"),),
        large=True,
    ),
    Line(
        "growth-verify",
        "Verify 1,000,000 entries, a process for each core",
        Run("keeping:verify_all", LARGE),
        "entries/s",
        (
            Beside(Run("keeping:hashed", LARGE), "SHA-256 of the same bytes alone, three hashes an entry", 0.2),
            Beside(Run("keeping:verify", LARGE), "one process"),
        ),
        large=True,
    ),
    Line(
        "growth-export",
        "Export 1,000,000 entries to Parquet, a process for each core (wanted: 150,000 entries/s)",
        Run("keeping:export_all", LARGE),
        "entries/s",
        (
            Beside(Run("keeping:read", LARGE), "the driver's read of the same rows"),
            Beside(Run("keeping:export", LARGE), "one process"),
        ),
        large=True,
    ),
    Line(
        "as-of",
        "As of: one conversation at a time, with 1,000,000 entries (100/s: 10 ms at the 99th percentile)",
        Run("keeping:as_of", LARGE),
        "answers/s",
        (
            Beside(Run("keeping:as_of"), "the same of 100,000", None, "time"),
            Beside(Run("keeping:bare_as_of", LARGE), "the driver's read of its entries", None, "time"),
        ),
        large=True,
    ),
)
