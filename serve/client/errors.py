"""What goes wrong with a call, in one exception."""

from collections.abc import Sequence

import httpx
import orjson


class ServiceError(Exception):
    """The service answered with a problem, or did not answer (status 0). `kind` is stable, `detail` is for people."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        request_id: str | None = None,
        faults: Sequence[tuple[str, str]] = (),
        limit: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        places = "; ".join(f"{pointer}: {problem}" for pointer, problem in faults)
        super().__init__(f"{detail} ({places})" if places else detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.request_id = request_id
        self.faults = tuple(faults)
        """(JSON pointer, what is wrong there)."""
        self.limit = limit
        self.retry_after = retry_after
        """Seconds, where the service said so."""

    @property
    def overloaded(self) -> bool:
        """Whether waiting helps."""
        return self.status in (429, 503)


def problem_of(response: httpx.Response) -> ServiceError:
    """The error in an answer that has been read."""
    try:
        problem = orjson.loads(response.content)
        faults = [(f["pointer"], f["detail"]) for f in problem.get("errors") or ()]
        kind, detail = problem["type"].rpartition(":")[2], problem["detail"]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):  # a proxy in between
        problem, faults, kind, detail = {}, [], "other", f"HTTP {response.status_code} {response.reason_phrase}"
    asked = response.headers.get("retry-after", "")
    return ServiceError(
        response.status_code,
        kind,
        detail,
        request_id=problem.get("request_id") or response.headers.get("x-request-id"),
        faults=faults,
        limit=problem.get("limit"),
        retry_after=float(asked) if asked.isdigit() else None,
    )


def silence(base_url: httpx.URL, error: httpx.HTTPError) -> ServiceError:
    """The error of a service that did not answer."""
    kind = "timeout" if isinstance(error, httpx.TimeoutException) else "unreachable"
    return ServiceError(0, kind, f"the service at {base_url} does not answer ({kind})")
