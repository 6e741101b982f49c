"""``python -m onebit``."""

import sys

from onebit.cli import main

if __name__ == "__main__":
    sys.exit(main())
