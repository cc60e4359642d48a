"""A command of the phone: a process in a session of its own, behind pipes or a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from dataclasses import dataclass

from tests.fakes.adbd.service import Userland

GRACE_S = 1.0
"""How long a process may take to end by itself after the host has closed its stream (devices sheet §1.3)."""


HEALTHY = ("env", "--default-signal=HUP,INT")
"""Before a command: it must not ignore what the tests were started to ignore, as under nohup."""


@dataclass(frozen=True, slots=True)
class Process:
    """`stdin` takes its input; `stderr` is None where it is merged into `stdout`."""

    child: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader | None

    async def exit_code(self) -> int:
        """As Android tells it: 128 + n for a process ended by signal n."""
        code = await self.child.wait()
        return code if code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """To the whole session; none if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)

    async def hang_up(self) -> None:
        """End it: by itself, else by SIGHUP, else by SIGKILL (the first of a pid namespace ignores SIGHUP)."""
        for number in (None, signal.SIGHUP):
            if number is not None:
                self.signal(number)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.child.wait(), GRACE_S)
                break
        self.signal(signal.SIGKILL)  # whatever the first process has left behind
        await self.child.wait()


async def start_piped(userland: Userland, command: str, stderr: int) -> Process:
    """With pipes; `stderr` is `asyncio.subprocess.PIPE` or `.STDOUT`."""
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *HEALTHY,
        *userland.argv(command),
        stdin=pipe,
        stdout=pipe,
        stderr=stderr,
        env=dict(userland.environment),
        cwd=userland.root,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    return Process(child, child.stdin, child.stdout, child.stderr)


async def start_on_terminal(userland: Userland, command: str) -> Process:
    """With a terminal, which merges stderr into stdout and ends lines by CR LF."""
    loop = asyncio.get_running_loop()
    ours, its = os.openpty()
    try:
        setsid = shutil.which("setsid") or "setsid"
        child = await asyncio.create_subprocess_exec(
            *(*HEALTHY, setsid, "--ctty", *userland.argv(command)),
            stdin=its,
            stdout=its,
            stderr=its,
            env=dict(userland.environment),
            cwd=userland.root,
        )
    finally:
        os.close(its)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: _TerminalEnd(reader), os.fdopen(ours, "rb", buffering=0))
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(os.dup(ours), "wb", buffering=0)
    )
    return Process(child, asyncio.StreamWriter(transport, protocol, None, loop), reader, None)


class _TerminalEnd(asyncio.StreamReaderProtocol):
    """Takes the I/O error with which a terminal ends, once its last process has gone, for the end that it is."""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        super().connection_lost(None)
