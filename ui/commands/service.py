"""`rapport serve`: the API and the page together, as two applications on one Ray Serve."""

import ipaddress
from typing import Any

from fastapi import FastAPI
from ray import serve as ray_serve

from serve.client import Client
from serve.config import AppConfig
from serve.ray.app import run

CALLS_AT_ONCE = 200
"""The page holds a stream open for every visitor."""


def serve_everything(config: AppConfig) -> int:
    """Serves until it is told to stop; the exit code."""
    config = config.with_page_key()
    return run(config, {"/": page_app(config)})


def page_app(config: AppConfig) -> Any:
    """The page as a Ray Serve application. One replica: Gradio keeps its visitors' state in memory."""
    url, page_bytes, tls, root_path = api_url(config), config.limits.page_bytes, config.tls, config.root_path
    key = None if config.access.page is None else config.access.page.get_secret_value()

    def build() -> FastAPI:
        # In the replica, so that nothing of the page travels between processes.
        from ui.page.app import mount_page

        # Visitors would rather be told that it is busy than wait for long.
        client = Client(url, retries=2, longest_wait=3.0, key=key, verify=tls.trust())
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        return mount_page(app, client, page_bytes=page_bytes, root_path=root_path)

    class Page:
        """The page; all of it is in the app."""

    deployment: Any = ray_serve.deployment(
        ray_serve.ingress(build)(Page),
        name="Page",
        num_replicas=1,
        max_ongoing_requests=CALLS_AT_ONCE,
        max_queued_requests=CALLS_AT_ONCE,
        ray_actor_options={"num_cpus": 0.1},
        graceful_shutdown_timeout_s=2,
        graceful_shutdown_wait_loop_s=0.2,
    )
    return deployment.bind()


def api_url(config: AppConfig) -> str:
    """Where the page finds the API: the address listened on, or the machine itself where that is every address."""
    host = config.host
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return f"{config.scheme}://{host}:{config.port}"
    if address.is_unspecified:
        address = ipaddress.ip_address("127.0.0.1" if address.version == 4 else "::1")
    shown = f"[{address}]" if address.version == 6 else str(address)
    return f"{config.scheme}://{shown}:{config.port}"
