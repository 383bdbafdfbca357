"""The event loop of asyncio without sockets, processes and signals: it runs what is ready and sleeps until what is due."""

import os
import time
from asyncio import base_events, events, selector_events
from selectors import BaseSelector

__all__ = ("SelectorEventLoop", "DefaultEventLoopPolicy", "EventLoop")


class _Sleeper(BaseSelector):
    """Nothing is ever readable or writable."""

    def __init__(self):
        self._keys = {}

    def register(self, fileobj, events, data=None):
        raise OSError("there is nothing to wait for but time")

    def unregister(self, fileobj):
        raise KeyError(fileobj)

    def get_map(self):
        return self._keys

    def get_key(self, fileobj):
        raise KeyError(fileobj)

    def select(self, timeout=None):
        if timeout is None:
            # Nothing is ready, nothing is due, and nobody else is there who could change that.
            os.write(_host(), b"u")
        elif timeout > 0:
            time.sleep(timeout)
        return []

    def close(self):
        pass


def _host():
    return os.open("/dev/sandbox", os.O_WRONLY)


class SelectorEventLoop(selector_events.BaseSelectorEventLoop):
    def __init__(self, selector=None):
        super().__init__(_Sleeper() if selector is None else selector)

    def _make_self_pipe(self):
        self._ssock = self._csock = None

    def _close_self_pipe(self):
        pass

    def _write_to_self(self):
        pass

    def close(self):
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if not self.is_closed():
            base_events.BaseEventLoop.close(self)
            self._selector = None


class DefaultEventLoopPolicy(events.BaseDefaultEventLoopPolicy):
    _loop_factory = SelectorEventLoop


EventLoop = SelectorEventLoop
