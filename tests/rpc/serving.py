"""A process's socket for the time of a block, and peers that are none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from doorctl.rpc.messages import LINE_LIMIT, Answer, Line
from doorctl.rpc.question import Answering, Answers
from doorctl.rpc.server import ControlServer
from tests.fakes.waiting import LIMIT_S


def plain(answers: Mapping[str, Answering | Callable[[Line], Answer]]) -> Answers:
    """Return answers of which some are no declared question's, but functions of a line."""
    return {
        name: answer if isinstance(answer, Answering) else Answering(answer)
        for name, answer in answers.items()
    }


@contextmanager
def serving(
    path: Path, answers: Mapping[str, Answering | Callable[[Line], Answer]], **more: Any
) -> Iterator[Path]:
    """Answer on a socket; yield its path."""
    server = ControlServer(path, plain(answers), **more)
    server.start()
    try:
        yield path
    finally:
        server.stop()


@contextmanager
def saying(path: Path, said: bytes | None, *, drips: bool = False) -> Iterator[Path]:
    """Say the same to each caller, once or again and again; None: hold the line, say nothing."""
    ended, held = threading.Event(), list[socket.socket]()

    def answer() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                held.append(line)
                if said is None:
                    continue
                line.recv(LINE_LIMIT)
                line.sendall(said)
                while drips and not ended.wait(0.05):
                    line.sendall(said)
                line.shutdown(socket.SHUT_WR)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield path
        finally:
            ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(LIMIT_S)
            for line in held:
                line.close()
