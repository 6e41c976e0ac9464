"""Use an installed kfstate: every public name, then its command on the samples that come with it.

Run by ``scripts.wheel`` in an environment that holds nothing but the wheel; takes the path of the command.
"""

import json
import subprocess
import sys
from importlib import resources

import kfstate

__all__ = ["main"]


def main(command: str) -> None:
    """Ingest the samples into a new database, ask for the conversations, and leave with an error if there are none."""
    for name in kfstate.__all__:
        getattr(kfstate, name)
    folder = resources.files("kfstate") / "samples"
    samples = sorted(str(path) for path in folder.iterdir() if path.name.endswith("json"))
    call = [command, "--db", "sqlite:///elsewhere.db"]
    report = json.loads(
        subprocess.run([*call, "ingest", *samples, "--json"], check=True, stdout=subprocess.PIPE).stdout
    )
    lines = subprocess.run([*call, "conversations", "--json"], check=True, stdout=subprocess.PIPE).stdout.splitlines()
    states = sorted({json.loads(line)["state"] for line in lines})
    print(f"{len(samples)} files, {report['appended']} entries, {len(lines)} conversations in the states {states}")
    if not states:
        sys.exit("the samples gave no conversation")


if __name__ == "__main__":
    main(sys.argv[1])
