"""`python -m diffcourse.cli`, which torchrun needs."""

import sys

from diffcourse.cli import main

if __name__ == "__main__":
    sys.exit(main())
