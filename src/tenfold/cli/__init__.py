"""The command line: one module per verb, imported when it is asked for.

Exit codes: 0 fine; 1 an `expect` or SLO was missed; 2 the request or the design cannot be used; 3 a fault of Tenfold's
own; 130 stopped by Ctrl-C (what was simulated until then is reported first).
"""

import sys
from collections.abc import Sequence

from tenfold.cli.group import group
from tenfold.cli.trouble import exit_code


def main(arguments: Sequence[str] | None = None) -> None:
    """The `tenfold` command. Ends the process with its exit code."""
    sys.exit(exit_code(lambda: group.main(arguments, prog_name="tenfold", standalone_mode=False)))


__all__ = ["main"]
