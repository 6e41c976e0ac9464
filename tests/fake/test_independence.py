"""The fake server is a second opinion: it shares no code with the machine that it is held against."""

import subprocess
import sys

__all__: list[str] = []

WITHOUT_EXTRAS = """
import sys
for name in ("cryptography", "defusedxml", "httpx2", "tenacity"):
    sys.modules[name] = None
import kfstate.testing
with kfstate.testing.FakeWecom() as wecom:
    print(wecom.url)
"""
ALL_OF_IT = """
import sys
import kfstate.testing.fake.callbacks
print(*sorted(name for name in sys.modules if name.startswith(("kfstate.", "sqlalchemy", "transitions"))))
"""


def run(code: str) -> str:
    """Run a program of its own and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_nothing_of_the_machine() -> None:
    """It brings in neither the machine nor the store, and of the live side only the encryption of callbacks."""
    names = run(ALL_OF_IT).split()
    forbidden = ("kfstate.machine", "kfstate.store", "kfstate.engine", "sqlalchemy", "transitions")
    assert [name for name in names if name.startswith(forbidden)] == []
    live = {name for name in names if name.startswith("kfstate.wecom.")}
    assert live == {"kfstate.wecom.crypto", "kfstate.wecom.secret"}


def test_extras_are_needed_for_callbacks_only() -> None:
    """Without the extras of the live side it runs all the same."""
    assert run(WITHOUT_EXTRAS).startswith("http://127.0.0.1:")
