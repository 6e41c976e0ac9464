"""The checker itself: it finds what it is there to find, and nothing in a history that is well."""

import pytest

from tests.adversarial.list_append import Transaction, anomalies

__all__: list[str] = []


def done(id_: int, at: float, *, to: float | None = None, **lists: list[str]) -> Transaction:
    """Return a transaction: ``append_x=[…]`` and ``read_x=[…]`` say what it did to the list x."""
    return Transaction(
        id=id_,
        began=at,
        ended=at + 0.5 if to is None else to,
        appended={key.removeprefix("append_"): values for key, values in lists.items() if key.startswith("append_")},
        read={key.removeprefix("read_"): values for key, values in lists.items() if key.startswith("read_")},
    )


def test_a_serial_history_is_well() -> None:
    """One after the other, everything read as it stands."""
    history = [
        done(1, 1, append_x=["a", "b"], append_y=["c"]),
        done(2, 2, read_x=["a", "b"], read_y=["c"]),
        done(3, 3, append_x=["d"]),
        done(4, 4, read_x=["a", "b", "d"], read_y=["c"]),
    ]
    assert [] == anomalies(history)


def test_overlapping_transactions_may_come_in_any_order() -> None:
    """What overlaps may be seen or not."""
    history = [done(1, 1, to=9, append_x=["a"]), done(2, 2, to=3, read_x=[]), done(3, 4, to=5, read_x=["a"])]
    assert [] == anomalies(history)


@pytest.mark.parametrize(
    ("history", "said"),
    [
        pytest.param(
            [done(1, 1, append_x=["a"]), done(2, 1, append_x=["b"]), done(3, 2, read_x=["a", "b"]),
             done(4, 3, read_x=["b"])],
            "another order", id="orders that differ",
        ),
        pytest.param([done(1, 1, append_x=["a"]), done(2, 2, read_x=["a", "a"])], "twice", id="twice"),
        pytest.param([done(1, 1, read_x=["a"])], "nobody appended", id="from nowhere"),
        pytest.param(
            [done(1, 1, append_x=["a", "b"]), done(2, 1, read_x=["a"]), done(3, 3, read_x=["a", "b"])],
            "a part of", id="half a transaction",
        ),
        pytest.param(
            [done(1, 1, append_x=["a"]), done(2, 1, append_x=["b"]), done(3, 2, read_x=["b"])], "lost", id="lost",
        ),
        pytest.param([done(1, 1, append_x=["a"]), done(2, 2, read_x=[]), done(3, 3, read_x=["a"])],
                     "cycle", id="a stale read"),
        pytest.param(
            [done(1, 1, to=9, append_x=["a"], append_y=["b"]), done(2, 1, to=9, read_x=["a"], read_y=[]),
             done(3, 10, read_x=["a"], read_y=["b"])],
            "cycle", id="a read between two writes of one transaction",
        ),
        pytest.param(
            [done(1, 1, to=9, read_x=[], append_y=["b"]), done(2, 1, to=9, read_y=[], append_x=["a"]),
             done(3, 10, read_x=["a"], read_y=["b"])],
            "cycle", id="write skew",
        ),
        pytest.param(
            [done(1, 1, to=9, append_x=["a"]), done(2, 1, to=9, append_y=["b"]),
             done(3, 2, to=8, read_x=["a"], read_y=[]), done(4, 2, to=8, read_x=[], read_y=["b"]),
             done(5, 10, read_x=["a"], read_y=["b"])],
            "cycle", id="two readers who disagree on the order",
        ),
    ],
)  # fmt: skip
def test_it_finds(history: list[Transaction], said: str) -> None:
    """Each kind of anomaly is named."""
    found = anomalies(history)
    assert found
    assert said in found[0]


def test_what_was_rolled_back_must_not_be_seen() -> None:
    """Nobody reads what its writer was told did not happen."""
    refused = Transaction(id=1, began=1, ended=2, appended={"x": ["a"]}, committed=False)
    assert "rolled back" in anomalies([refused, done(2, 1, read_x=["a"])])[0]


def test_an_unknown_outcome_may_be_either() -> None:
    """Where the answer never came, both are well."""
    unknown = Transaction(id=1, began=1, ended=2, appended={"x": ["a"]}, committed=None)
    assert [] == anomalies([unknown, done(2, 3, read_x=["a"])])
    assert [] == anomalies([unknown, done(2, 3, read_x=[])])
