"""``python -m gatlabel``: the command line, as started by launchers such as torchrun."""

import sys

from gatlabel.cli import main

if __name__ == "__main__":
    sys.exit(main())
