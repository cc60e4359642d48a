"""The page stands alone, escapes what others wrote, repeats exactly, and says what is missing."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from edge.card import WeightsOrigin
from edge.errors import ConversionError, ToolchainMissingError
from edge.evaluate import Accuracy
from edge.measurement import Source
from edge.report.facts import Answer, Epoch, Example, FileFacts, Latency, Missing, ModelFacts, Report
from edge.report.page import data_uri, render
from edge.spec import Precision

HOSTILE = """"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }} $\\frac{1}{0$ &amp;"""


def file(target: str = "tflite", **changes: object) -> FileFacts:
    latency = Latency(0.5, 0.49, 0.52, "host (a processor)", Source.MEASURED, 1, 50, "ok")
    made = FileFacts(
        target, f"net.{target}", 1_500_000, "ab" * 32, Precision.FP32, "ok", "sums differ", "runtime 1", 64, 8e-6, 1e-4,
        Accuracy(358, 360), latency, tools={"torch": "2.13.0"},
    )  # fmt: skip
    return replace(made, **changes)


def report(*files: FileFacts, **changes: object) -> Report:
    picture = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)
    answers = (Answer("PyTorch", "three", 0.75, True), Answer("tflite", "four", 0.5, False))
    model = ModelFacts(
        "net", WeightsOrigin("trained"), (1, 3, 32, 32), 418_342, 410_000, 12_345_678, Accuracy(358, 360)
    )
    made = Report(
        model,
        files or (file(),),
        epochs=tuple(Epoch(i, 2.0 / (i + 1), i / 10) for i in range(5)),
        examples=(Example(picture, "three", answers),),
        pictures="digits",
    )
    return replace(made, **changes)


class Elements(HTMLParser):
    """Collects every element with its attributes, and the text outside of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render(report(file(), file("onnx"))) == render(report(file(), file("onnx")))


def test_the_page_asks_nothing_of_the_network_and_runs_no_script() -> None:
    page = render(report())
    elements = Elements(page).found
    addresses = [
        value for _, given in elements for name, value in given.items() if name in ("src", "href", "xlink:href")
    ]
    assert len(addresses) > 1
    assert all(str(address).startswith(("data:image/png;base64,", "#")) for address in addresses)
    assert {tag for tag, _ in elements}.isdisjoint({"script", "link", "iframe", "object", "embed", "image"})
    assert not re.search(r"url\((?!#)|@import", page)


@pytest.mark.parametrize(
    "hostile",
    [
        report(model=replace(report().model, name=HOSTILE, weights=WeightsOrigin(HOSTILE, HOSTILE, HOSTILE))),
        report(file(name=HOSTILE, verdict=HOSTILE, reason=HOSTILE, executed_by=HOSTILE, tools={HOSTILE: HOSTILE})),
        report(examples=(replace(report().examples[0], truth=HOSTILE, answers=(Answer(HOSTILE, HOSTILE, 1, None),)),)),
        report(missing=(Missing(HOSTILE, HOSTILE, HOSTILE, HOSTILE),), pictures=HOSTILE),
    ],
    ids=["model", "file", "example", "missing"],
)  # fmt: skip
def test_what_others_wrote_is_text_and_never_an_element(hostile: Report) -> None:
    elements = Elements(render(hostile))
    assert {tag for tag, _ in elements.found} == {tag for tag, _ in Elements(render(report())).found}
    assert all(not name.startswith("on") for _, given in elements.found for name in given)
    assert "<script>alert(1)</script>" in elements.text
    assert "{{ 7 * 7 }}" in elements.text


def test_a_file_that_failed_is_said_first() -> None:
    assert '<p class="lead bad">' in render(report(file(verdict="failed")))
    assert '<p class="lead good">' in render(report())


def test_a_file_that_is_less_accurate_than_its_model_is_said_first() -> None:
    page = render(report(file(accuracy=Accuracy(350, 360))))
    assert '<p class="lead bad">' in page
    assert "differs" in page


def test_a_file_that_nothing_here_executes_is_never_called_ok() -> None:
    silent = file(
        "coreml",
        verdict="not executed",
        inputs=None,
        relative_error=None,
        accuracy=None,
        latency=None,
        silent="no runtime",
    )
    text = Elements(render(report(silent))).text
    assert "✓ ok" not in text
    assert "not executed" in text
    assert "nothing is proven" in text


def test_a_missing_toolchain_is_shown_with_what_would_work() -> None:
    text = Elements(
        render(
            report(
                missing=(
                    Missing.because("onnx", ToolchainMissingError("onnx is not installed", hint="pip install it")),
                )
            )
        )
    ).text
    assert "! missing" in text
    assert "onnx is not installed" in text
    assert "pip install it" in text


def test_a_conversion_that_failed_is_shown_without_the_log_of_this_machine() -> None:
    failed = Missing.because("onnx", ConversionError("no kernel for cumsum", hint="log: /tmp/secret/place"))
    text = Elements(render(report(missing=(failed,)))).text
    assert "✗ failed" in text
    assert "no kernel for cumsum" in text
    assert "/tmp/secret" not in text


def test_a_network_that_was_not_built_again_has_no_sizes_and_says_why() -> None:
    bare = ModelFacts("net", WeightsOrigin("somewhere"), (1, 7), unknown="it is built by code")
    text = Elements(render(report(file(accuracy=None), model=bare, examples=(), epochs=()))).text
    assert "it is built by code" in text
    assert "Multiply-adds" not in text


def test_a_noisy_latency_says_so_beside_its_source() -> None:
    noisy = Latency(0.5, 0.3, 0.9, "host", Source.EMULATED, 1, 50, "noisy")
    assert "emulated, noisy" in Elements(render(report(file(latency=noisy)))).text


def test_a_small_picture_is_enlarged_pixel_by_pixel() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    encoded = data_uri(picture).removeprefix("data:image/png;base64,")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
    assert shown.shape[1] >= 100
    factor = shown.shape[0] // 8
    np.testing.assert_array_equal(shown[factor // 2 :: factor, factor // 2 :: factor], picture)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) == len(np.unique(picture.reshape(-1, 3), axis=0))


def test_a_latency_of_the_reference_runtime_is_never_passed_off_as_measured() -> None:
    reference = replace(file().latency, source=Source.REFERENCE_RUNTIME)
    page = render(report(file(latency=reference), file()))
    assert "reference-runtime" in Elements(page).text
    assert "not the target's runtime" in Elements(page).text
    assert "0.5 ms (reference-runtime)" in page
