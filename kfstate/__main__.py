"""``python -m kfstate``: the same as the command ``kfstate``."""

import sys

from kfstate.cli import main

if __name__ == "__main__":
    sys.exit(main())
