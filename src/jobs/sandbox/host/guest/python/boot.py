"""Gets the interpreter ready, waits for the program, runs it, and says how it ended.

It is on the program's side of the wall: a program may change all of this, and only harms its own result.
"""

import sys

STARTED_WITH = frozenset(sys.modules)

import builtins
import errno
import importlib
import importlib.machinery
import io
import os
import time

HERE = __file__
WORK = "/work/"
MOST_TEXT = 8192
MOST_FRAMES = 20
OUT_OF_MEMORY = b"m"
NOTHING_YET = b"-"
# What programs ask for most, loaded one by one while there is no program yet.
LIKELY = (
    "re traceback json collections random datetime dataclasses typing string asyncio".split()
)
host = os.open("/dev/sandbox", os.O_RDWR)


def tell(kind, *fields):
    text = "\0".join(str(field).replace("\0", "\ufffd") for field in fields)
    os.write(host, kind + text.encode("utf-8", "replace"))


def sleep(seconds, /):
    microseconds = int(seconds * 1_000_000)
    if microseconds < 0:
        raise ValueError("sleep length must be non-negative")
    tell(b"s", microseconds)


class EventLoopFinder:
    """The event loop of Unix needs sockets; here time is all there is to wait for."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "asyncio.unix_events":
            return None
        loader = importlib.machinery.SourceFileLoader(name, "/lib/sandbox/event_loop.py")
        return importlib.machinery.ModuleSpec(name, loader, origin=loader.path)


def wait_for_order():
    likely = iter(LIKELY)
    while (order := os.read(host, 1 << 16)) == NOTHING_YET:
        name = next(likely, None)
        if name is not None:
            importlib.import_module(name)
    texts = []
    while order:
        end = 4 + int.from_bytes(order[:4], "little")
        texts.append(order[4:end].decode())
        order = order[end:]
    return texts


def shadow(folder):
    """A module of the program goes before one that only this file has loaded."""
    try:
        names = {name.removesuffix(".py") for name in os.listdir(folder)}
    except OSError:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        if name not in STARTED_WITH:
            del sys.modules[name]


def text_of(make):
    try:
        return str(make())[:MOST_TEXT]
    except MemoryError:
        raise
    except BaseException:
        return "<it cannot be shown>"


def is_count(value):
    return isinstance(value, int) and 0 < value < 1 << 31


def report(kind, error):
    """What went wrong and where, by the last frame that lies in a file of the program."""
    import traceback

    name = text_of(lambda: type(error).__name__)
    if isinstance(error, SyntaxError) and isinstance(error.filename, str) and is_count(error.lineno):
        column = error.offset if is_count(error.offset) else 0
        file = error.filename.removeprefix(WORK)
        return tell(kind, name, text_of(lambda: error.msg), file, error.lineno, column, "")
    frames = traceback.extract_tb(error.__traceback__, -MOST_FRAMES)
    own = [frame for frame in frames if frame.filename.startswith(WORK) and is_count(frame.lineno)]
    file, line, column = "", 0, 0
    if own:
        file, line = own[-1].filename.removeprefix(WORK), own[-1].lineno
        column = 0 if own[-1].colno is None else own[-1].colno + 1
    stack = "".join(traceback.format_list(frames)).rstrip("\n")[-MOST_TEXT:]
    tell(kind, name, text_of(lambda: error), file, line, column, stack)


def without_our_frames(error):
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename == HERE:
        at = at.tb_next
    return error.with_traceback(at)


def make_room(error):
    """Frees what the program holds, to have memory for saying what happened."""
    frame = error.__traceback__
    while frame is not None:
        try:
            frame.tb_frame.clear()
        except RuntimeError:
            pass
        frame = frame.tb_next
    main = sys.modules.get("__main__")
    if isinstance(main, type(sys)):
        main.__dict__.clear()


def fail(kind, error):
    if isinstance(error, MemoryError):
        os.write(host, OUT_OF_MEMORY)
        make_room(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        kind = b"d"
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit as left:
        return exit_code(left)
    except BaseException:
        sys.__excepthook__(type(error), error, error.__traceback__)
    report(kind, error)
    return 1


def exit_code(left):
    code = left.code
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(text_of(lambda: code), file=sys.stderr)
    return 1


def run(entry, args):
    path = WORK + entry
    main = type(sys)("__main__")
    main.__file__ = path
    main.__builtins__ = builtins
    main.__loader__ = importlib.machinery.SourceFileLoader("__main__", path)
    sys.modules["__main__"] = main
    sys.argv[:] = [path, *args]
    sys.path.insert(0, os.path.dirname(path))
    shadow(sys.path[0])
    try:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
    except BaseException as error:
        return fail(b"c", without_our_frames(error))
    tell(b"b")
    try:
        exec(code, main.__dict__)
    except SystemExit as left:
        return exit_code(left)
    except BaseException as error:
        return fail(b"e", without_our_frames(error))
    return 0


def finish():
    """As the interpreter does it at its end, without the time it takes to free what is thrown away."""
    import atexit

    atexit._run_exitfuncs()
    main = sys.modules.get("__main__")
    if isinstance(main, type(sys)):
        for name in [name for name in main.__dict__ if not name.startswith("__")]:
            main.__dict__[name] = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            pass


time.sleep = sleep
sys.meta_path.insert(0, EventLoopFinder)
os.environ.clear()
sys.path[:] = [path for path in sys.path if path != os.path.dirname(HERE)]

code = 1
try:
    entry, *args = wait_for_order()
    code = run(entry, args)
    finish()
except MemoryError:
    os.write(host, OUT_OF_MEMORY)
except BaseException as error:
    fail(b"e", without_our_frames(error))
tell(b"x", code)
