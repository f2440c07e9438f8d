"""The service: its Ray Serve applications, and a `run` that starts them, says when they answer, and stops cleanly."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from ray import serve as ray_serve

from serve.api import create_api
from serve.batches.deployment import batches_deployment
from serve.config import AppConfig, UnusableConfig
from serve.correction.deployment import RemoteMender, correction_deployment
from serve.edge import drain, logs, metrics
from serve.edge.door import API_PREFIX, READY, Door
from serve.edge.drain import DRAIN_VARIABLE, UNDER_WAY_HEADER, Drain, stopping_file
from serve.emotion.choice import Choice
from serve.emotion.deployment import CALLS, emotion_deployment
from serve.emotion.labeller import RemoteLabeller
from serve.pictures.deployment import visual_deployment
from serve.pictures.viewer import RemoteViewer
from serve.ray.checks import check, reason
from serve.ray.cluster import cluster
from serve.ray.processes import kill_all
from serve.ray.sitter import MARK_VARIABLE, marked
from serve.ray.standin import standing_in
from serve.ray.within import CANNOT_START
from serve.replies.answerer import RemoteAnswerer
from serve.replies.deployment import replies_deployment
from serve.retention import Retention
from serve.speech.deployment import recordings_deployment
from serve.storage import DATABASE, Storage
from serve.telemetry.engine import Telemetry
from serve.watch import told
from serve.watch.figures import Sampler
from serve.watch.watching import Watching

Ready = Callable[[str], None]
_STOP_SECONDS = 45.0


class Api:
    """The deployment that speaks HTTP: no model in it, state on disk."""

    def __init__(
        self, config: AppConfig, emotion: Any, visual: Any, correction: Any, replies: Any, *_workers: Any
    ) -> None:
        # Batches and recordings find their work in the database; their handles come so that Ray starts them with us.
        folder = config.data_folder()
        logs.configure(f"api-{os.getpid()}", folder / "logs", config.log_level)
        self._config = config
        replicas = max(config.emotion.replicas, config.emotion.max_replicas or 1)
        self._labeller = RemoteLabeller(
            emotion, config.limits.answer_seconds, calls=CALLS * replicas, work=config.emotion.batch_work
        )
        self._viewer = RemoteViewer(visual, config.limits.answer_seconds)
        self._mender = RemoteMender(correction, config.limits.answer_seconds)
        self._answerer = RemoteAnswerer(replies, config.limits.answer_seconds)
        self._storage = Storage(folder / DATABASE, url=config.database_url)
        metrics.Written.begin(folder / metrics.FOLDER)
        Retention(self._storage, config.keep).start()
        # A cluster that was there before us knows nothing of our file.
        file = os.environ.get(DRAIN_VARIABLE) if config.ray.address is None else None
        self._drain = Drain(Path(file) if file else None)
        self._door: Door | None = None

    def stop_taking(self) -> int:
        """Takes no new work from now on; how much is under way."""
        self._drain.begin()
        return 0 if self._door is None else self._door.under_way

    def __serve_build_asgi_app__(self) -> Any:
        """Ray Serve asks for the app once the replica stands, so that nothing of it travels between processes."""
        config = self._config
        choice = Choice.of(config)
        self._door = create_api(
            self._labeller,
            self._viewer,
            self._answerer,
            choice,
            self._storage,
            config.limits,
            may_list=config.is_private,
            metrics_folder=config.data_folder() / metrics.FOLDER,
            drain=self._drain,
            keys=config.access.known_keys(is_private=config.is_private),
            access=config.door,
            may_call=config.callbacks.hosts,
            telemetry=Telemetry(config.telemetry),
            mender=self._mender,
            recordings=config.recordings,
        )
        return self._door


def build_app(config: AppConfig) -> Any:
    """The API, its models and its workers as a Ray Serve application, to be run at the prefix /v1; where the process
    that listens is the API, what is beside it."""
    options: dict[str, Any] = {"num_cpus": config.api.cpus}
    if config.api.on_head_node:
        options["resources"] = {"node:__internal_head__": 0.001}
    visual, replies = visual_deployment(config).bind(config), replies_deployment(config).bind(config)
    batches, recordings = batches_deployment(config, options), recordings_deployment(config, options)
    if config.is_one_process:
        return batches.bind(config, None, visual, replies, recordings.bind(config, None))
    api: Any = ray_serve.deployment(
        ray_serve.ingress()(Api),
        name="Api",
        num_replicas=config.api.replicas,
        # The door refuses in our own words what exceeds the limits; Serve's own bound stands a little behind it.
        max_ongoing_requests=2 * config.limits.waiting_requests,
        max_queued_requests=config.limits.waiting_requests,
        ray_actor_options=options,
        graceful_shutdown_timeout_s=10,
        graceful_shutdown_wait_loop_s=0.2,
        max_constructor_retry_count=3,
    )
    emotion = emotion_deployment(config).bind(config)
    correction = correction_deployment(config).bind(config)
    workers = (batches.bind(config, emotion), recordings.bind(config, emotion))
    return api.bind(config, emotion, visual, correction, replies, *workers)


def run(config: AppConfig, extra_apps: Mapping[str, Any] | None = None, *, ready: Ready | None = None) -> int:
    """Starts the service, tells `ready` once everything answers (by default on stdout), blocks until it is stopped.

    SIGINT and SIGTERM stop it: it takes no new work, finishes what is under way, for `drain_seconds` at most, and ends;
    a second signal ends it at once. extra_apps are further Ray Serve applications by route prefix (the page, at `/`).
    Returns the exit status: 0 after a stop that was asked for, 1 where the service cannot start or breaks down, with
    the reason on stderr. No process is left in either case. To be called from the main thread, where signals arrive.
    """
    try:
        check(config)
        # Of a service that ended, or was killed while it stopped.
        drain.forget(config.data_folder())
        metrics.forget(config.data_folder() / metrics.FOLDER)
        told.forget(config.data_folder() / metrics.FOLDER)
    except UnusableConfig as error:
        print(f"rapport: {error}", file=sys.stderr)
        return 1
    # Signals arrive in this thread and all work is done in the other: an exception in the middle of Ray's own
    # start or stop would leave processes behind.
    service = _Service(config, dict(extra_apps or {}), ready or _say)
    asked, at_once = threading.Event(), threading.Event()
    with _signals(asked, at_once) as listen:
        service.start()
        while service.is_alive() and not asked.is_set():
            listen()  # again: once Ray has started, SIGTERM is answered by a handler of its own, which aborts
            service.join(0.1)
        print("rapport: stopping", file=sys.stderr, flush=True)
        if service.is_alive() and service.serving:
            _drain(config, at_once)
        service.stop.set()
        service.join(_STOP_SECONDS)
    stopping_file(config.data_folder()).unlink(missing_ok=True)
    if service.is_alive():
        print(f"rapport: still not stopped after {_STOP_SECONDS:g} s; ending its processes", file=sys.stderr)
        kill_all()
        return 1
    return service.status


def _say(text: str) -> None:
    print(text, flush=True)  # stdout may be a file, which whoever waits for us reads


@contextmanager
def _signals(first: threading.Event, again: threading.Event) -> Iterator[Callable[[], None]]:
    """SIGINT and SIGTERM set `first`, and another one `again`. Gives a function that sees to it once more."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def heard(*_: Any) -> None:
        (again if first.is_set() else first).set()

    def listen() -> None:
        for number in before:
            signal.signal(number, heard)

    listen()
    try:
        yield listen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Service(threading.Thread):
    """The life of the service, from Ray's start to its end. `status` is the exit status once it has ended."""

    def __init__(self, config: AppConfig, extra_apps: dict[str, Any], ready: Ready) -> None:
        super().__init__(name="service", daemon=True)
        self.stop = threading.Event()
        self.serving = False
        """Whether it has been ready."""
        self.status = 1
        self._config = config
        self._extra_apps = extra_apps
        self._ready = ready

    def run(self) -> None:
        config = self._config
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"{config.scheme}://{host}:{config.port}"
        print(f"rapport is starting on {url} ...", file=sys.stderr, flush=True)
        if not (config.is_private or config.access.known_keys(is_private=False).required):
            told = "rapport: access.required is off: WHOEVER REACHES THIS ADDRESS CAN READ, WRITE AND DELETE EVERYTHING"
            print(told, file=sys.stderr, flush=True)
        try:
            with cluster(config):
                prefixes = {} if self.stop.is_set() else _deploy(config, self._extra_apps)
                _wait_until_ready(config, prefixes, self.stop)
                if not self.stop.is_set():
                    self.serving = True
                    if config.watch.on:
                        _watching(config).start(self.stop)
                    self._ready(f"rapport is ready: {url}/ (the API: {url}{API_PREFIX}/docs); Ctrl-C stops it")
                # He speaks no TLS, and on a cluster there are other proxies.
                alone = config.ray.address is None and config.tls.certificate is None
                with standing_in(config.host, config.port, wanted=alone):
                    self.status = _watch(self.stop)
        except Exception as error:
            print(f"rapport: {type(error).__name__}: {error}", file=sys.stderr)
            print(f"rapport: it could not go on; logs are in {config.data_folder() / 'logs'}", file=sys.stderr)


def _deploy(config: AppConfig, extra_apps: dict[str, Any]) -> dict[str, str]:
    """Starts the applications; where each is, by its name."""
    location = "HeadOnly" if config.ray.address is None else "EveryNode"
    ray_serve.start(
        proxy_location=location,
        http_options={"host": config.host, "port": config.port, "keep_alive_timeout_s": 75, **_tls(config)},
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    prefix = None if config.is_one_process else API_PREFIX
    targets = [ray_serve.RunTarget(build_app(config), name="api", route_prefix=prefix)]
    for prefix, app in extra_apps.items():
        name = prefix.strip("/").replace("/", "-") or "page"
        targets.append(ray_serve.RunTarget(app, name=name, route_prefix=prefix))
    ray_serve.run_many(targets, wait_for_applications_running=False)
    return {str(target.name): str(target.route_prefix) for target in targets}


def _tls(config: AppConfig) -> dict[str, str]:
    if config.tls.certificate is None:
        return {}
    found = {"ssl_certfile": config.tls.certificate, "ssl_keyfile": config.tls.key}
    return {name: str(path.expanduser().resolve()) for name, path in found.items() if path is not None}


def _wait_until_ready(
    config: AppConfig, prefixes: dict[str, str], stop: threading.Event, seconds: float = 900.0
) -> None:
    """Until every application answers, or `stop`. RuntimeError where one fails, TimeoutError when it takes long."""
    # Asked over HTTP, as a user would: Ray calls an application running before its proxy can find it.
    waiting = {API_PREFIX + "/health/ready" if name == "api" else prefix for name, prefix in prefixes.items()}
    deadline = time.monotonic() + seconds
    with _asking(config, 10.0) as client:
        while waiting:
            waiting = {path for path in waiting if not _answers(client, path)}
            for name in prefixes:
                status = ray_serve.status().applications.get(name)
                if status is not None and status.status == "DEPLOY_FAILED":
                    raise RuntimeError(f"{name}: {reason(status)}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"no answer within {seconds:g} s from {', '.join(sorted(waiting))}")
            if stop.wait(0.2 if waiting else 0):
                return


def _watching(config: AppConfig) -> Watching:
    """What watches this service: its processes on this machine, and the figures of all that write beside them."""
    folder = config.data_folder()
    logs.configure(f"watch-{os.getpid()}", folder / "logs", config.log_level)

    def processes() -> list[int]:
        mark = os.environ.get(MARK_VARIABLE)
        return [os.getpid(), *(marked(mark) if mark else ())]

    most = None if config.watch.memory_mb is None else config.watch.memory_mb * 1024**2
    return Watching(Sampler(folder, processes, memory=most), folder / metrics.FOLDER, config.watch)


def _asking(config: AppConfig, seconds: float) -> httpx.Client:
    """A client of this service, from the machine it runs on."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    base = httpx.URL(scheme=config.scheme, host=host, port=config.port)
    page = config.access.page  # which the page asks for too, where keys are needed
    headers = {} if page is None else {"Authorization": f"Bearer {page.get_secret_value()}"}
    return httpx.Client(base_url=base, timeout=seconds, headers=headers, trust_env=False, verify=config.tls.trust())


def _drain(config: AppConfig, at_once: threading.Event) -> None:
    """Takes no new work from now on; returns when what was under way is done, after `drain_seconds`, or `at_once`."""
    stopping_file(config.data_folder()).touch()
    deadline = time.monotonic() + config.drain_seconds
    with _asking(config, 2.0) as client:
        while time.monotonic() < deadline and not at_once.is_set():
            under_way = _under_way(client) if config.ray.address is None else _under_way_on_the_cluster()
            if under_way == 0:
                return
            at_once.wait(0.1)
    if not at_once.is_set():
        print(f"rapport: after {config.drain_seconds:g} s some requests are not done yet", file=sys.stderr)


def _under_way(client: httpx.Client) -> int | None:
    """Requests that the door in front has let in, on one machine; None where it does not say."""
    try:
        return int(client.get(API_PREFIX + READY).headers.get(UNDER_WAY_HEADER, ""))
    except (httpx.HTTPError, ValueError):
        return None


def _under_way_on_the_cluster() -> int | None:
    """Requests that all replicas of the API have let in; they take no more from now on. None where one does not say."""
    try:
        handle = ray_serve.get_deployment_handle("Api", "api")
        told: list[int] = handle.broadcast("stop_taking").results(timeout_s=2.0)
    except Exception:  # one is ended or begun just now, and Ray has no common error for that
        return None
    return sum(told)


def _answers(client: httpx.Client, path: str) -> bool:
    """RuntimeError where the API says that it never will."""
    try:
        answer = client.get(path)
    except httpx.HTTPError:
        return False
    if answer.status_code == 503 and answer.text.find(CANNOT_START) >= 0:
        raise RuntimeError(f"api: {answer.json()['detail']}")
    return answer.status_code < 400


def _watch(stop: threading.Event) -> int:
    """Until it is asked to stop: 0. When a part of Ray that nobody restarts has died: 1."""
    import ray

    while not stop.wait(1.0):
        node = ray._private.worker._global_node
        dead: list[Any] = node.dead_processes() if node is not None else []
        if dead:
            names = ", ".join(name for name, _ in dead)
            print(f"rapport: {names} ended unexpectedly", file=sys.stderr)
            return 1
    return 0
