"""``python -m gatlabel``: the command line, as launchers such as torchrun start it."""

import sys

from gatlabel.cli import main

if __name__ == "__main__":
    sys.exit(main())
