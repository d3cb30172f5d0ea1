"""The start of the command `yinzheng`, which ensures that no failure has the exit code of a verdict.

Python ends with 1 for an uncaught exception, which means FAILED here, and with 120 if output cannot be written. Both
become 4, an error of the program, also if an import fails. Only the standard library is imported before this is set up.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
import traceback
from typing import NoReturn

_EXIT_OURS = 4
_PLAINER = {"✔": "√", "✖": "×", "–": "-", "—": "-", "“": '"', "”": '"'}
"""Replacements for terminals whose character set lacks a sign."""


def main() -> NoReturn:
    """Runs the command line. Never returns, and never raises but `SystemExit`."""
    code = _EXIT_OURS
    try:
        _write_what_the_terminal_can_show()
        from trust.app.main import main as run

        run()
        code = 0
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else (0 if exc.code is None else _EXIT_OURS)
    except BrokenPipeError:
        pass  # the reader of the output has gone
    except BaseException:
        with contextlib.suppress(Exception):
            traceback.print_exc()
            print(_words(), file=sys.stderr)
    _end(code)


def _words() -> str:
    if (os.environ.get("YINZHENG_LANG") or os.environ.get("LANG", "")).lower().startswith("zh"):
        return "程序出错，与证照真伪无关。请把以上内容交给系统管理员。"
    return (
        "The program failed; this says nothing about what was checked. Give the lines above to the operator."
    )


def _end(code: int) -> NoReturn:
    """Flushes the output and exits. If it cannot be written, as on a full disk or a closed pipe, the exit code is 4."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = _EXIT_OURS
            # Otherwise the interpreter would flush again, and end with 120.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _write_what_the_terminal_can_show() -> None:
    """Replaces characters that the terminal's character set lacks, signs by plainer ones and others by their
    numbers, so that none ends a command."""
    codecs.register_error("yinzheng", _in_plainer_signs)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and (stream.encoding or "").lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="yinzheng")


def _in_plainer_signs(exc: UnicodeError) -> tuple[str, int]:
    if not isinstance(exc, UnicodeEncodeError):
        raise exc
    found = []
    for character in exc.object[exc.start : exc.end]:
        plainer = _PLAINER.get(character, "")
        try:
            plainer.encode(exc.encoding)
        except UnicodeEncodeError:
            plainer = ""
        found.append(plainer or f"[U+{ord(character):04X}]")
    return "".join(found), exc.end
