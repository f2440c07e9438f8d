"""The page as an operator has it on one machine: in the process that listens, over TLS, under a path, for who has a
key. A browser asks for it, chats, and finds its chat again."""

import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve import running
from tests.serve.ray.test_tls import pair
from tests.ui.page.browsing import Visit, need_a_browser
from ui.commands.main import run

need_a_browser()
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]


def test_who_has_a_key_chats_over_tls_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "_MAIN", "import sys; from ui.commands.main import run; sys.exit(run(['serve']))")
    tls = pair(tmp_path / "tls")
    keys = tmp_path / "keys.yaml"
    assert run(["keys", "ann", "--file", str(keys)]) == 0
    key = capsys.readouterr().out.strip()
    given = {"tls__certificate": str(tls.certificate), "tls__key": str(tls.key), "root_path": "/mood"}
    asked = {"access__keys": str(keys), "access__required": "true"}
    with running.Running(tmp_path, **given, **asked) as service:
        url = service.url.replace("http://", "https://")
        there = [" ".join(p.cmdline()) for p in service.remember_family()]
        assert not any("Replica:api:Api" in name for name in there), "the process that listens is the API"
        with httpx.Client(base_url=url, verify=tls.trust(), timeout=60) as http:
            for path in ("/mood/", "/mood/v1/chats"):
                refused = http.get(path)
                assert (refused.status_code, "basic" in refused.headers["www-authenticate"].lower()) == (401, True)
                assert http.get(path, auth=("ann", key[:-1] + "x")).status_code == 401
            assert http.get("/mood/v1/chats", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        context = browser.new_context(ignore_https_errors=True, http_credentials={"username": "ann", "password": key})
        first = context.new_page()  # which fetches the scripts, through two processes on a machine that may be busy
        first.goto(f"{url}/mood/", timeout=120_000)
        first.wait_for_selector("#rp-message textarea", timeout=120_000)
        visit = Visit(context.new_page(), f"{url}/mood/")
        visit.say("I got the job!!")
        visit.say("I hate it")
        assert [label.split()[0] for label in visit.labels()] == ["joy", "anger"]
        visit.page.reload()
        visit.page.wait_for_function("() => document.querySelectorAll('#rp-log .rp-text').length === 2")
        assert (visit.foreign, visit.dialogs, visit.errors) == ([], [], [])
        context.close()
        assert service.stop(signal.SIGTERM) == 0
        assert service.left_over() == []
