"""The work of the worker process: shows the page in Chromium through Playwright, and returns what the page found."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devices._browser import chromium
from devices._browser.server import Site, served
from edge.errors import DeviceError

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Error, Page

STATUS = "/proc/{pid}/status"
LAST_LINES = 6
LONGEST_LINE = 200


def show(
    browser: str,
    folder: str,
    page: str,
    runtimes: Mapping[str, str],
    model: str,
    job: Mapping[str, Any],
    within_s: float,
) -> dict[str, Any]:
    """Open the page, wait for its answer, and add the browser's `version`, `peakRssKb` and the end of the `console`.

    The whole console goes to this process's standard output; what anyone writes goes below `folder`. Raises `DeviceError`
    when no answer comes.
    """
    from playwright.sync_api import Error, TimeoutError, sync_playwright

    environment: dict[str, str | float | bool] = {
        **os.environ
    }  # the browser's, whose socket in TMPDIR wants a short name
    os.environ["TMPDIR"] = folder  # Playwright leaves files behind when it is killed
    site = Site(Path(page), {name: Path(path) for name, path in runtimes.items()}, Path(model), job)
    console = Console()
    with served(site) as answer, sync_playwright() as playwright:
        try:
            context = playwright.chromium.launch_persistent_context(
                chromium.profile(Path(folder)),
                executable_path=browser,
                headless=True,
                args=chromium.arguments(),
                env=environment,
            )
        except Error as error:
            raise DeviceError(f"the browser does not start: {_line(error)}", hint=f"does {browser} start?") from None
        shown = context.pages[0]
        shown.on("console", lambda message: console.hear(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: _give_up(shown, console, error))
        try:
            with shown.expect_response(answer.result_url, timeout=within_s * 1e3):
                shown.goto(answer.url, wait_until="commit", timeout=within_s * 1e3)
            return {**answer.received[0], "console": console.end(), **_about(context)}
        except TimeoutError:
            raise DeviceError(
                f"the page gave no answer within {within_s:g} s and was stopped",
                hint="\n".join(("allow more with --timeout SECONDS", console.end())).strip(),
            ) from None
        except Error as error:
            what = f"failed: {console.failures[0]}" if console.failures else f"is gone: {_line(error)}"
            raise DeviceError(f"the page {what}", hint=console.end()) from None
        finally:
            with suppress(Error):  # a browser that has crashed is closed
                context.close()


def _give_up(shown: Page, console: Console, error: Error) -> None:
    """A page with an error that nothing in it caught will never answer: closed, it ends the wait."""
    console.fail(str(error))
    shown.close()


@dataclass(slots=True)
class Console:
    """What the page wrote, and the errors that nothing in it caught."""

    lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def hear(self, line: str) -> None:
        print(line, flush=True)
        self.lines.append(line)

    def fail(self, error: str) -> None:
        self.failures.append(_first(error))
        self.hear(f"uncaught: {error}")

    def end(self) -> str:
        """The last lines, as a hint shows them."""
        return "\n".join(f"  | {line[:LONGEST_LINE]}" for line in self.lines[-LAST_LINES:])


def _about(context: BrowserContext) -> dict[str, Any]:
    """The browser's version, and the largest resident memory that a page's process had: 0 where there is no /proc."""
    if context.browser is None:
        return {"version": "", "peakRssKb": 0}
    told = context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    pages = [process["id"] for process in told["processInfo"] if process["type"] == "renderer"]
    peaks = [_most_kb(Path(STATUS.format(pid=pid))) for pid in pages]
    return {"version": context.browser.version, "peakRssKb": max(peaks, default=0)}


def _most_kb(status: Path) -> int:
    try:
        lines = status.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def _line(error: Exception) -> str:
    return _first(str(error)) or type(error).__name__


def _first(text: str) -> str:
    return next((line.strip()[:LONGEST_LINE] for line in text.splitlines() if line.strip()), "")
