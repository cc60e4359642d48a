"""The page's server: what stands in its table below a secret path is served, isolated and with its type, and nothing else."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devices._browser.server import PAGE, Site, served

EVIL_NAME = "\"><script>alert(1)</script> ';$(x) model.onnx"


@pytest.fixture
def site(tmp_path):
    model, runtime = tmp_path / "x.onnx", tmp_path / "ort.wasm"
    model.write_bytes(b"the model")
    runtime.write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("not for the page")
    return Site(PAGE, {"ort/dist/ort.wasm": runtime}, model, {"do": "time"})


@pytest.fixture
def address(site):
    with served(site) as answer:
        yield urlsplit(answer.url)


def ask(address, path: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None):
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response.status, dict(response.getheaders()), response.read()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("", "text/html; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("job.json", "application/json"),
        ("runtimes/ort/dist/ort.wasm", "application/wasm"),
        ("model", "application/octet-stream"),
    ],
)
def test_what_the_page_needs_is_served_with_its_type_and_isolated(address, name, kind):
    status, headers, body = ask(address, address.path + name)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert body


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/model",
        "/job.json",
        "/guess/model",
        "{secret}",
        "{secret}/x.onnx",
        "{secret}/secret.txt",
        "{secret}/../secret.txt",
        "{secret}/runtimes/../../secret.txt",
        "{secret}/runtimes/ort/dist/../../../../secret.txt",
        "{secret}/%2e%2e/secret.txt",
        "{secret}//etc/passwd",
        "{secret}/model?x",
        "{secret}/model/",
        "//etc/passwd",
    ],
)
def test_anything_else_is_not_found(address, path):
    assert ask(address, path.format(secret=address.path.rstrip("/")))[::2] == (404, b"")


def test_two_sites_have_different_secrets(site):
    others = {Site(site.page, site.runtimes, site.model, site.job).secret for _ in range(8)}
    assert len(others) == 8
    assert min(map(len, others)) >= 32


def test_nothing_outside_this_machine_can_connect(site):
    with served(site) as answer:
        port = urlsplit(answer.url).port
        with socket.socket() as other:
            other.bind(("127.0.0.2", port))  # free, so the server holds its own address only, not every one


def test_the_page_answers_once(site):
    with served(site) as answer:
        address, path = urlsplit(answer.url), urlsplit(answer.result_url).path
        assert ask(address, path, "POST", b'{"samplesMs": [1.5]}')[0] == 204
        assert ask(address, path, "POST", b'{"samplesMs": [9.9]}')[0] == 404
        assert answer.received == [{"samplesMs": [1.5]}]


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"[" * 100_000, b"\xff\xfe"])
def test_an_answer_that_is_none_is_refused(site, body):
    with served(site) as answer:
        assert ask(urlsplit(answer.url), urlsplit(answer.result_url).path, "POST", body)[0] == 400
        assert answer.received == []


@pytest.mark.parametrize("length", ["-1", "99999999999", "many"])
def test_an_answer_of_impossible_length_is_refused(site, length):
    with served(site) as answer:
        path = urlsplit(answer.result_url).path
        assert ask(urlsplit(answer.url), path, "POST", headers={"Content-Length": length})[0] == 413


def test_the_name_of_a_model_reaches_neither_page_nor_job(tmp_path, site):
    model = tmp_path / EVIL_NAME.replace("/", "_")
    model.write_bytes(b"the model")
    with served(Site(site.page, site.runtimes, model, site.job)) as answer:
        address = urlsplit(answer.url)
        texts = [ask(address, address.path + name)[2] for name in ("", "page.js", "job.json")]
        assert ask(address, f"{address.path}model")[2] == b"the model"
    assert not any(b"alert" in text for text in texts)


def test_the_page_imports_only_what_it_is_served():
    from devices._browser.packages import Runtime, locked

    text = (PAGE / "index.html").read_text()
    imports = json.loads(text.partition('<script type="importmap">')[2].partition("</script>")[0])["imports"]
    runtimes = {f"./runtimes/{each.name}/{file}" for kind in Runtime for each in locked(kind) for file in each.files}
    assert set(imports.values()) <= runtimes
    assert {Path(f"{runtime}.js").name for runtime in Runtime} <= {file.name for file in PAGE.iterdir()}
