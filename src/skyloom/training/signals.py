"""A training that is asked to stop finishes its step, saves and leaves.

SIGTERM (a batch system's notice) and SIGINT (Ctrl-C) only raise a flag that the training looks at after each
step. A second Ctrl-C stops at once. Lightning's own handler is replaced while the training runs: it talks to
the other processes from inside the signal handler, which can stall them all.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """Listens for signals within a block; ``caught`` is the first that came, or None.

    Outside the main thread, where Python cannot listen, nothing is caught.

    Example:
        >>> import os
        >>> with StopRequest() as request:
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     request.caught.name
        'SIGTERM'
    """

    def __init__(self) -> None:
        self.caught: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in SIGNALS}
        self.listen()
        return self

    def listen(self) -> None:
        """Install the handlers, over whatever was installed since the block began."""
        for number in self._before:
            signal.signal(number, self._catch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.caught is not None:
            raise KeyboardInterrupt
        self.caught = signal.Signals(number)
