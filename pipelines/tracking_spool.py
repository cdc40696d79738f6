"""Keeps a fit alive when the tracking store does not answer: what is to be logged waits on disk and is sent later.

Everything to be logged is an event of plain JSON. Sending an event twice does no harm, so an event is taken from the
queue only when it has been sent. An event that the store refuses for good is told once and dropped.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backbones.errors import InputError, reason_of
from pipelines.atomic import write_text
from pipelines.tracking_store import is_refusal

__all__ = ["SPOOL", "Event", "TrackingSpool"]

SPOOL = "tracking-spool.jsonl"
_LONGEST_PAUSE = 300.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something to be logged.

    Attributes:
        call: What.
        args: Its details, plain JSON.
        at: When it happened, in ms of the epoch.
    """

    call: str
    args: Mapping[str, Any]
    at: int


class TrackingSpool:
    """The queue of events of one folder.

    Args:
        folder: Where what waits is kept.
        plan: Digest of what is fitted; what waits from another plan is forgotten.
        deliver: Sends an event, or raises.
        note: Told a line when the store fails, and when it is back.
        pause: Seconds until a store that failed is asked again; doubles with every failure.
    """

    def __init__(
        self,
        folder: Path,
        *,
        plan: str,
        deliver: Callable[[Event], None],
        note: Callable[[str], None],
        pause: float = 5.0,
    ) -> None:
        self.path, self.plan, self.deliver, self.note = folder / SPOOL, plan, deliver, note
        self.waiting: deque[Event] = deque()
        self._first_pause = self._pause = pause
        self._again = 0.0
        self._failing = self._closed = False
        self._refused: set[str] = set()

    def open(self) -> None:
        """Send the event `open`, and then what waits from an earlier process; how that ended is known by now."""
        kept = [event for event in self._read() if event.call not in ("open", "stop")]
        self.waiting.extend([_event("open", {}), *kept])
        self.flush()

    def send(self, call: str, args: Mapping[str, Any]) -> None:
        """Send an event now, or keep it until the store answers."""
        if self._closed:
            return
        self.waiting.append(_event(call, args))
        if time.monotonic() >= self._again:
            self.flush()
        else:
            self._write()

    def flush(self) -> None:
        """Send what waits, as far as the store takes it."""
        while self.waiting:
            event = self.waiting[0]
            try:
                self.deliver(event)
            except Exception as error:  # whatever it is, the fit must go on
                if isinstance(error, InputError) and event.call == "open":
                    raise  # the user can mend it, and nothing has been trained yet
                if not is_refusal(error):
                    self._wait(error)
                    return
                self._refuse(event, error)
            if self.waiting:
                self.waiting.popleft()
        if self._failing:
            self.note("MLflow answers again: what waited has been sent")
        self._failing, self._pause, self._again = False, self._first_pause, 0.0
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Try a last time; what still waits is sent when the same command is run again."""
        if self.waiting:
            self.flush()
        if self.waiting:
            self.note(f"{len(self.waiting)} entries for MLflow wait in {self.path}; the same command sends them")

    def _wait(self, error: Exception) -> None:
        if not self._failing:
            self.note(f"tracking in MLflow failed, the fit goes on without it and sends it later: {reason_of(error)}")
        self._failing = True
        self._again = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._write()

    def _refuse(self, event: Event, error: Exception) -> None:
        if event.call == "open":
            self.note(f"tracking in MLflow failed, the fit goes on without it: {reason_of(error)}")
            self._closed = True
            self.waiting.clear()
        elif event.call not in self._refused:
            self.note(f"MLflow refuses an entry ({event.call}), which is left out: {reason_of(error)}")
        self._refused.add(event.call)

    def _write(self) -> None:
        lines = [json.dumps({"plan": self.plan}), *(json.dumps(asdict(event)) for event in self.waiting)]
        write_text(self.path, "\n".join(lines) + "\n")

    def _read(self) -> list[Event]:
        try:
            first, *lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            return [Event(**line) for line in lines] if first == {"plan": self.plan} else []
        except (OSError, ValueError, TypeError):
            return []


def _event(call: str, args: Mapping[str, Any]) -> Event:
    return Event(call=call, args=args, at=int(time.time() * 1000))
