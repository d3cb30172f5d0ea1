"""Where the command `yinzheng` begins: nothing that fails here or later has the exit code of a verdict.

An uncaught exception would end Python with 1, which means FAILED, and output that cannot be written with 120. Both are
4, our own fault, whatever could not be imported, written or foreseen. Only the standard library is imported before that
holds.
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
"""For terminals whose character set lacks a sign that we use."""


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
        pass  # who was listening has gone; there is nobody to tell
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
    """What was said has to have arrived, or it was not said: a full disk and a closed pipe are found here."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = _EXIT_OURS
            # Or the interpreter would try once more, and end with 120.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _write_what_the_terminal_can_show() -> None:
    """Under another character set than UTF-8 no character ends a command: signs have plainer ones, others a number."""
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
