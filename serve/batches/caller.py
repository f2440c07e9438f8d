"""Tells whoever is to know that a batch has ended: again and later where nobody answers, over a restart too. Of several
workers one calls.

A message may arrive twice, where the service is killed after it was taken and before that was written down; its
`webhook-id` is then the same.
"""

import random
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson

from serve.batches import callbacks
from serve.batches import table as batch_table
from serve.batches.callbacks import NotAllowed, StoredCallback
from serve.batches.table import StoredBatch
from serve.config import CallbacksConfig
from serve.edge import logs, metrics
from serve.storage import STAMP, Storage

_POLL_SECONDS = 1.0
_AT_ONCE = 4
_LOOKING_UP_SECONDS = 60.0
"""Beside the time for an answer; then another worker may call, for the one that wanted to has been killed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 6 * 3600.0
"""Seconds; a pause is five times as long as the one before it."""


class Caller:
    """Calls, beside the batches. `clock` gives the time with its zone."""

    def __init__(
        self,
        storage: Storage,
        config: CallbacksConfig,
        *,
        root_path: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._storage = storage
        self._config = config
        self._root_path = root_path
        self._clock = clock
        # No proxy of the environment: it would look the name up again.
        self._http = httpx.Client(timeout=config.seconds, follow_redirects=False, trust_env=False)

    def work(self, stopping: threading.Event) -> None:
        """Until it is told to stop."""
        with self._http, ThreadPoolExecutor(_AT_ONCE, "callbacks") as threads:
            while not stopping.wait(_POLL_SECONDS):
                try:
                    self.call_all(threads.map)
                except Exception as error:  # a held database or a full disk: at the next turn
                    logs.get().error("callbacks failed", **logs.about(error))

    def call_all(self, over: Callable[..., Iterable[None]] = map) -> None:
        """One turn: everybody whose turn it is, one after the other or as `over` maps."""
        for _ in over(self.call, self._due()):
            pass

    def call(self, callback: StoredCallback) -> None:
        """One try, and what came of it."""
        batch = self._storage.do_now(lambda db: batch_table.get(db, callback.batch), writes=False)
        if batch is None:  # deleted meanwhile, and with it what there was to tell
            return
        moment = self._clock()
        taken = timedelta(seconds=self._config.seconds + _LOOKING_UP_SECONDS)
        if not self._storage.do_now(lambda db: callbacks.take(db, callback, moment + taken)):
            return
        status, error, asked = self._send(callback.url, orjson.dumps(self._message(batch, moment)), batch.id, moment)
        last = callback.tries + 1 >= self._config.tries or status == 410
        state: callbacks.State = "delivered" if error is None else "failed" if last else "waiting"
        pause = min(_FIRST_PAUSE * 5**callback.tries, _LONGEST_PAUSE) * random.uniform(0.8, 1.2)
        due = moment + timedelta(seconds=max(pause, min(asked, _LONGEST_PAUSE))) if state == "waiting" else None
        self._storage.do_now(
            lambda db: callbacks.tried(db, callback, state, moment, status=status, error=error, due=due)
        )
        metrics.CALLBACKS.labels(state).inc()
        logs.get().info("callback", kind=state, status=status)

    def _due(self) -> list[StoredCallback]:
        return self._storage.do_now(lambda db: callbacks.due(db, self._clock(), _AT_ONCE), writes=False)

    def _send(self, url: str, body: bytes, batch_id: str, moment: datetime) -> tuple[int | None, str | None, float]:
        """The status that was answered, what is wrong, and how many seconds the receiver asks us to wait."""
        try:
            place = callbacks.place_of(url, self._config.hosts)
            called = httpx.URL(url)
            headers = {
                "Host": called.netloc.decode(),
                "Content-Type": "application/json",
                "User-Agent": "rapport",
                **callbacks.signed(self._config.told_secret, batch_id, moment, body),
            }
            # The very machine that was looked at; the name is for its certificate.
            target, names = called.copy_with(host=place), {"sni_hostname": called.host}
            with self._http.stream("POST", target, content=body, headers=headers, extensions=names) as response:
                status, asked = response.status_code, response.headers.get("retry-after", "")
        except NotAllowed as error:
            return None, str(error), 0.0
        except (httpx.HTTPError, OSError) as error:
            return None, f"no answer ({type(error).__name__})", 0.0
        if 200 <= status < 300:
            return status, None, 0.0
        why = f"HTTP {status}: redirects are not followed" if 300 <= status < 400 else f"HTTP {status}"
        return status, why, float(asked) if asked.isdigit() else 0.0

    def _message(self, batch: StoredBatch, moment: datetime) -> dict[str, Any]:
        told = {
            "id": batch.id,
            "created": batch.created,
            "finished": batch.finished,
            "state": batch.state,
            "filename": batch.filename,
            "model_version": batch.model_version,
            "conversations": batch.done,
            "failed": batch.failed,
            "utterances": batch.utterances,
            "error": batch.error,
            "output": f"{self._root_path}/v1/batches/{batch.id}/output" if batch.state == "done" else None,
        }
        return {"type": f"batch.{batch.state}", "timestamp": moment.strftime(STAMP), "data": told}
