"""Every trouble as place, reason, remedy on standard error, and its exit code. Never a traceback."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from tenfold.cli.terminal import note, style_of
from tenfold.errors import DesignError, EngineFault, UsageError

FINE, MISSED, UNUSABLE, OUR_FAULT, STOPPED = 0, 1, 2, 3, 130


def exit_code(run: Callable[[], Any]) -> int:
    """Run a command; its exit code, whatever happens. A command answers None (fine) or its own code."""
    try:
        code = run()
        sys.stdout.flush()
        return code if isinstance(code, int) else FINE
    except BrokenPipeError:
        return _quietly_closed()
    except (KeyboardInterrupt, click.Abort):
        note("stopped")
        return STOPPED
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> int:
    """Say what went wrong."""
    if isinstance(error, click.ClickException):
        return _say(_sentence(error.format_message()), _usage(error))
    if isinstance(error, UsageError):
        return _say(error.message, error.remedy)
    if isinstance(error, DesignError):
        from tenfold.report.mistakes import render_mistakes

        note(render_mistakes(error.mistakes).rstrip())
        return UNUSABLE
    if isinstance(error, OSError):
        return _say(f"{error.filename or 'a file'}: {error.strerror or error}", "check the path and its permissions")
    return _own_fault(error)


def _say(message: str, remedy: str) -> int:
    style = style_of(sys.stderr)
    note(f"{style.paint('error', 'bold', 'red')}: {message}")
    if remedy:
        note(f" {style.paint('help', 'cyan')}: {remedy}")
    return UNUSABLE


def _sentence(message: str) -> str:
    """Click's messages in the shape of ours."""
    return message[:1].lower() + message[1:].rstrip(".")


def _usage(error: click.ClickException) -> str:
    """How the command is written, when Click knows which one was meant."""
    context = getattr(error, "ctx", None)
    return f"{context.get_usage().removeprefix('Usage: ')}; more with {context.command_path} --help" if context else ""


def _own_fault(error: Exception) -> int:
    """A bug of ours: say so in one line; the traceback only on request."""
    if os.environ.get("TENFOLD_TRACEBACK"):
        import traceback

        traceback.print_exc()
    what = str(error) if isinstance(error, EngineFault) else f"{type(error).__name__}: {error}"
    note(f"a fault of tenfold's own: {what}")
    note(" help: please report it with the command and the design; TENFOLD_TRACEBACK=1 shows where it happened")
    return OUR_FAULT


def _quietly_closed() -> int:
    """The reader (`| head`) has gone. Python would complain once more while it closes the stream at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FINE
