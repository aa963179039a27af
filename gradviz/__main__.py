"""`python -m gradviz` is the `gradviz` command."""

import os
import sys

from gradviz_cli.main import main

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # Python put the current directory here: a `graphviz.py` of the user's would be taken for the library.
        sys.path[0] = os.path.dirname(sys.executable)
    main()
