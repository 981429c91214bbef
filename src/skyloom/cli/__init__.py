"""The command line: one verb a step, and ``skyloom run`` for all of them.

Nothing heavy is imported before a verb needs it, so that ``skyloom --help`` answers at once. Results go to
the standard output; progress, hints and errors go to the standard error. Exit codes: 0 done, 2 usage or
recipe, 3 a leaking split, 4 data, 130 interrupted and resumable.
"""

from skyloom.cli.app import main

__all__ = ["main"]
