"""Logs as JSON lines. Of an exception only the type and place are logged, because its text may quote its input."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any


class JsonFormatter(logging.Formatter):
    """Formats one JSON object a line: time, level, logger, message, and the few extras that our code uses."""

    _EXTRAS = ("method", "route", "status", "ms", "trace_id", "code", "what", "count")

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in self._EXTRAS if hasattr(record, name)}
        if record.exc_info and record.exc_info[1] is not None:
            # Log the place, not the text, because an exception's text may quote its input.
            error = record.exc_info[1]
            trace = error.__traceback__
            places = []
            while trace is not None:
                places.append(f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
                trace = trace.tb_next
            line["error"] = type(error).__name__
            line["at"] = places[-6:]
        return json.dumps(line, ensure_ascii=False)


def set_up_logging() -> None:
    """Sets up JSON logging on stderr; called by `serve`, never on import."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("pyhanko", "pyhanko_certvalidator", "fontTools", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
