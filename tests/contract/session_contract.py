"""What every session must do; each way to a host inherits this suite and brings a `session`."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from aiconsole.errors import CommandError, HostError
from aiconsole.session.command import Command
from aiconsole.session.protocol import Session

BIG = bytes(range(256)) * (20 * 1024 * 4)
"""20 MiB in which no piece can be swapped or lost unseen."""


def shell(script: str, *args: str, stdin: bytes = b"", timeout_s: float | None = 30.0) -> Command:
    return Command(("sh", "-c", script, "sh", *args), stdin=stdin, timeout_s=timeout_s)


class SessionContract:
    """The suite; a subclass defines the fixture `session`."""

    async def test_bytes_pass_unchanged(self, session: Session) -> None:
        data = bytes(range(256)) + b"\r\n\n\0\xff\x03\x04"
        done = await session.run(Command(("cat",), stdin=data))
        assert (done.stdout, done.stderr, done.exit_status) == (data, b"", 0)
        assert done.ok

    async def test_arguments_pass_unchanged(self, session: Session) -> None:
        hard = ("", " ", "a b", "'", '"', "$HOME", "`id`", "$(id)", "\\", "\n", "*", "-n", "é", ";")
        done = await session.run(Command(("sh", "-c", 'printf "%s\\0" "$@"', "sh", *hard)))
        assert done.stdout.decode().split("\0")[:-1] == list(hard)

    async def test_much_in_and_out(self, session: Session) -> None:
        done = await session.run(Command(("cat",), stdin=BIG))
        assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(BIG).digest()

    async def test_output_before_the_input_is_read(self, session: Session) -> None:
        script = "head -c 3000000 /dev/zero; wc -c"
        done = await session.run(shell(script, stdin=BIG[:3_000_000]))
        assert done.stdout == bytes(3_000_000) + b"3000000\n"

    async def test_exit_statuses(self, session: Session) -> None:
        for status in (0, 1, 3, 127, 255):
            done = await session.run(shell(f"exit {status}"))
            assert done.exit_status == status
            assert done.ok == (status == 0)

    async def test_a_missing_program_is_127(self, session: Session) -> None:
        done = await session.run(Command(("no-such-program-here",)))
        assert done.exit_status == 127
        assert b"not found" in done.stderr

    async def test_a_signal_is_128_and_its_number(self, session: Session) -> None:
        for name, number in (("TERM", 15), ("KILL", 9), ("SEGV", 11)):
            done = await session.run(shell(f"kill -{name} $$"))
            assert done.exit_status == 128 + number

    async def test_stderr_is_apart_and_its_end_is_kept(self, session: Session) -> None:
        script = "echo out; head -c 200000 /dev/zero | tr '\\0' x >&2; echo last >&2"
        done = await session.run(shell(script))
        assert done.stdout == b"out\n"
        assert len(done.stderr) == 64 * 1024
        assert done.stderr.endswith(b"xxx" + b"last\n")

    async def test_a_program_that_takes_only_a_part(self, session: Session) -> None:
        done = await session.run(Command(("head", "-c", "1"), stdin=BIG))
        assert (done.stdout, done.exit_status) == (BIG[:1], 0)

    async def test_a_timeout_names_the_command(self, session: Session, tmp_path: Path) -> None:
        mark = tmp_path / "pid"
        with pytest.raises(CommandError, match="did not end in time") as caught:
            await session.run(shell('echo $$ >"$1"; sleep 60', str(mark), timeout_s=0.5))
        assert "0.5 s" in caught.value.detail
        await ended(int(mark.read_text()))

    async def test_two_commands_at_once(self, session: Session, tmp_path: Path) -> None:
        """Each waits for the other, so that they end only where both run."""
        script = 'echo >"$1"; until [ -e "$2" ]; do sleep 0.02; done; echo "$1"'
        names = str(tmp_path / "left"), str(tmp_path / "right")
        done = await asyncio.gather(
            session.run(shell(script, *names)), session.run(shell(script, *names[::-1]))
        )
        assert [one.stdout.decode().strip() for one in done] == list(names)

    async def test_a_talk_line_by_line(self, session: Session) -> None:
        script = 'while read -r line; do echo "got $line"; done; echo end; exit 4'
        async with session.open(shell(script, stdin=b"first\n")) as process:
            assert await process.readline() == b"got first\n"
            for word in (b"a", b"b"):
                await process.write(word + b"\n")
                assert await process.readline() == b"got " + word + b"\n"
            await process.write_eof()
            assert await process.readline() == b"end\n"
            assert await process.readline() == b""
            assert (await process.wait()).exit_status == 4

    async def test_wait_returns_what_was_not_read(self, session: Session) -> None:
        async with session.open(shell("printf 'one\\ntwo\\nthree'")) as process:
            assert await process.readline() == b"one\n"
            done = await process.wait()
        assert done.stdout == b"two\nthree"

    async def test_a_last_line_without_an_end(self, session: Session) -> None:
        async with session.open(shell("printf 'one\\ntwo'")) as process:
            assert [await process.readline() for _ in range(3)] == [b"one\n", b"two", b""]

    async def test_a_line_beyond_the_limit(self, session: Session) -> None:
        async with session.open(shell("head -c 300000 /dev/zero; sleep 60")) as process:
            with pytest.raises(CommandError, match="line without an end"):
                await process.readline(limit_bytes=100_000)

    async def test_write_waits_while_nobody_reads(self, session: Session) -> None:
        async with session.open(shell("read -r go; cat >/dev/null; echo done")) as process:
            writing = asyncio.create_task(process.write(b"go\n" + BIG))
            await writing
            await process.write_eof()
            assert await process.readline() == b"done\n"

    async def test_write_does_not_return_before_there_is_room(self, session: Session) -> None:
        async with session.open(shell("echo up; sleep 60")) as process:
            assert await process.readline() == b"up\n"
            writing = asyncio.create_task(process.write(BIG))
            done, _ = await asyncio.wait({writing}, timeout=0.5)
            assert not done, "20 MiB were taken although the program reads nothing"
            process.kill()
            with pytest.raises(CommandError):
                await writing

    async def test_write_to_an_ended_program_tells_its_last_words(self, session: Session) -> None:
        async with session.open(shell("echo why >&2; exit 1")) as process:
            with pytest.raises(CommandError, match="stopped reading its input") as caught:
                await process.write(BIG)
        assert "why" in caught.value.detail

    async def test_kill(self, session: Session, tmp_path: Path) -> None:
        mark = tmp_path / "pid"
        async with session.open(shell('echo $$ >"$1"; echo up; sleep 60', str(mark))) as process:
            assert await process.readline() == b"up\n"
            process.kill()
            with pytest.raises(CommandError, match="stopped from here"):
                await process.wait()
        await ended(int(mark.read_text()))

    async def test_leaving_the_context_ends_the_program(
        self, session: Session, tmp_path: Path
    ) -> None:
        mark = tmp_path / "pid"
        async with session.open(shell('echo $$ >"$1"; echo up; sleep 60', str(mark))) as process:
            assert await process.readline() == b"up\n"
        await ended(int(mark.read_text()))

    async def test_cancelling_ends_the_program(self, session: Session, tmp_path: Path) -> None:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        running = asyncio.create_task(session.run(shell('echo $$ >"$1"; sleep 60', str(pipe))))
        pid = int(await asyncio.to_thread(pipe.read_text))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await ended(pid)

    async def test_many_commands_one_after_the_other(self, session: Session) -> None:
        for number in range(30):
            done = await session.run(Command(("echo", str(number))))
            assert done.stdout == b"%d\n" % number

    async def test_a_forward(self, session: Session) -> None:
        """What is sent through the port comes back; closing cuts it."""
        echo = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = echo.sockets[0].getsockname()[1]
        forward = await session.forward("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
        writer.write(BIG[:1_000_000])
        writer.write_eof()
        assert await reader.read() == BIG[:1_000_000]
        writer.close()
        await writer.wait_closed()
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
        other_writer.write(b"x")
        assert await other_reader.read(1) == b"x"
        local_port = forward.local_port
        await forward.close()
        await _read_to_end(other_reader)
        other_writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", local_port)
        echo.close()
        await echo.wait_closed()

    async def test_a_forward_to_nowhere_is_a_reset(self, session: Session) -> None:
        closed = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = closed.sockets[0].getsockname()[1]
        closed.close()
        await closed.wait_closed()
        forward = await session.forward("127.0.0.1", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", forward.local_port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        await forward.close()

    async def test_a_forward_on_a_taken_port(self, session: Session) -> None:
        taken = await asyncio.start_server(_echo, "127.0.0.1", 0)
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(HostError, match=f"Port {port} of this machine cannot be used"):
            await session.forward("127.0.0.1", 1, port)
        taken.close()
        await taken.wait_closed()

    async def test_close_twice(self, session: Session) -> None:
        await session.close()
        await session.close()
        await session.wait_closed()


async def ended(pid: int) -> None:
    """Wait until a process of this machine has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        async with asyncio.timeout(20):
            await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _read_to_end(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(65536):
            pass
    except ConnectionResetError:
        return
