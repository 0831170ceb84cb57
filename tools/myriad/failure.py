"""One sentence for the user, and the exit code that goes with it."""

import os
import sys

REFUSED = 1
UNUSABLE = 2


class Failure(Exception):
    """Ends a command: `code` is REFUSED (the compiler's verdict) or UNUSABLE (arguments, files, tools)."""

    def __init__(self, sentence, code=UNUSABLE):
        super().__init__(sentence)
        self.code = code


def run(command, arguments):
    """Runs `command(arguments)` and turns a failure into a line on stderr; returns the exit code."""
    try:
        return command(arguments)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        return failure.code
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
