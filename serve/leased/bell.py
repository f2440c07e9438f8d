"""What wakes the threads of a worker that wait for one another: a part to label is there, or one is labelled."""

import threading


class Bell:
    """Rings for everybody who waits. Whoever looked at `rung` before he looked for work misses no ring."""

    def __init__(self) -> None:
        self._rung = 0
        self._heard = threading.Condition()

    @property
    def rung(self) -> int:
        """How often it has rung."""
        return self._rung

    def ring(self) -> None:
        """Wakes everybody."""
        with self._heard:
            self._rung += 1
            self._heard.notify_all()

    def wait(self, rung: int, seconds: float) -> None:
        """Until it has rung more often than that, and so long at most."""
        with self._heard:
            self._heard.wait_for(lambda: self._rung > rung, seconds)
