"""The thread that watches: a sample now and then, six of them a minute's point, and what is noticed in that.

It lives in the process that started the service, which answers no request. Whatever becomes of it, the service does not
notice: what it says is in a file, and a file that is old is believed no more.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dialog.telemetry.service.advice import service_advice
from dialog.telemetry.service.noticing import Alarms, Judge, Judged
from dialog.telemetry.service.points import CHANNELS, LEARNING, Minute
from serve.config import WatchConfig
from serve.edge import logs
from serve.storage import STAMP
from serve.watch import told
from serve.watch.figures import Sample

SAMPLES = 6
"""Of one point."""


class Watching:
    """`step` takes a sample and says something once a point is whole; `start` does so for ever, in a thread."""

    def __init__(
        self,
        sample: Callable[[], Sample],
        folder: Path,
        config: WatchConfig | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """folder: of the metrics, where what is noticed is written."""
        self._sample, self._folder, self._config, self._clock = sample, folder, config or WatchConfig(), clock
        self._samples: deque[tuple[float, Sample]] = deque(maxlen=SAMPLES + 1)
        self._begin()
        self._failures: set[str] = set()
        self._busy = 0.0

    def start(self, stop: threading.Event) -> None:
        """In the background, until `stop`."""
        threading.Thread(target=self._go_on, args=(stop,), name="watch", daemon=True).start()

    def step(self) -> None:
        """One sample. Raises what the sampling raises."""
        now, sample = self._clock(), self._sample()
        self._samples.append((now, sample))
        if len(self._samples) <= SAMPLES:
            return
        minute = self._minute()
        self._samples.clear()
        self._samples.append((now, sample))
        judged = self._judge.step(minute)
        before = list(self._alarms.since)
        self._alarms.step(minute, judged)
        self._points += 1
        self._say(minute, judged, before)

    def _begin(self) -> None:
        self._judge, self._alarms, self._points = Judge(), Alarms(), 0
        self._moments: dict[str, str] = {}

    def _go_on(self, stop: threading.Event) -> None:
        began, due = time.monotonic(), time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._config.seconds, time.monotonic())
            try:
                self.step()
            except Exception as error:  # whatever it was: what is known is let go, and it begins anew
                self._samples.clear()
                self._begin()
                about = logs.about(error)
                if str(about) not in self._failures:  # the same failure every ten seconds fills a log
                    self._failures.add(str(about))
                    logs.get().error("watch failed", **about)
            self._busy = time.thread_time() / max(time.monotonic() - began, self._config.seconds)

    def _minute(self) -> Minute:
        """What came between the oldest sample and the newest, as shares of the limits."""
        c = self._config
        (then, first), (now, last) = self._samples[0], self._samples[-1]
        came = last.counted.since(first.counted)
        values = [
            _share(came.seconds, came.answers, c.latency_seconds),
            _share(came.waited, came.calls, c.queue_seconds),
            _share(came.failed, came.answers, c.error_share),
            _mean([one.memory for _, one in self._samples]),
            _mean([one.disk for _, one in self._samples]),
        ]
        load = came.answers / max(now - then, 1e-9)
        size = came.messages / came.answers if came.answers else 0.0
        return Minute(now / 60.0, np.array([load]), np.array([size]), np.array([values]))

    def _say(self, minute: Minute, judged: Judged, before: list[float | None]) -> None:
        moment = datetime.now(UTC).strftime(STAMP)
        advice = []
        for c, name in enumerate(CHANNELS):
            since = self._alarms.since[c]
            if since is None:
                if before[c] is not None:
                    logs.get().info("watch ended", watched=name)
                continue
            if before[c] is None:
                self._moments[name] = moment
            one = self._advice(c, name, judged)
            advice.append(one)
            if before[c] is None:
                logs.get().warning("watch", watched=name, reason=one["why"], minutes_left=one["left_minutes"])
        shares = {name: told.plain(v) for name, v in zip(CHANNELS, minute.channels[0].tolist(), strict=True)}
        said = {
            "at": time.time(),
            "moment": moment,
            "seconds": self._config.seconds,
            "state": "watching" if self._points > LEARNING else "learning",
            "shares": shares,
            "busy_share": self._busy,
            "advice": advice,
        }
        told.write(self._folder, said)

    def _advice(self, c: int, name: str, judged: Judged) -> dict[str, Any]:
        near = bool(self._alarms.by_line[c])
        ends = [float(x[0, c]) for x in (judged.left, judged.earliest, judged.latest)]
        left, earliest, latest = (told.plain(end) if near else None for end in ends)
        return {
            "what": name,
            "since": self._moments[name],
            "why": "limit" if near else "change",
            "left_minutes": left,
            "earliest_minutes": earliest,
            "latest_minutes": latest,
            "text": service_advice(name, ends[0] if near else None),
        }


def _share(total: float, count: float, limit: float) -> float:
    return total / count / limit if count else float("nan")


def _mean(values: list[float | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else float("nan")
