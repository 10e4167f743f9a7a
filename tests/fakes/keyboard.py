"""A USB scanner or keypad that types as a keyboard: a FIFO, and a library that answers for it.

This machine has neither `/dev/input` nor `uinput`. A process over which the library is laid finds
behind each FIFO what the kernel answers about a keyboard; a name with `mouse`, `gamepad` or
`telephone` in it is such a device, and one with `headset` has no digits.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from struct import pack
from types import MappingProxyType

from doorctl.demo.door import Plug
from tests.fakes import preload

INPUT_C = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <linux/input.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
static void have(unsigned char *bits, size_t size, int first, int last) {
    for (int key = first; key <= last; key++)
        if ((size_t)key / 8 < size) bits[key / 8] |= 1 << key % 8;
}
int ioctl(int file, unsigned long request, ...) {
    char link[64], path[4096] = "";
    struct stat found;
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    if (_IOC_TYPE(request) != 'E' || fstat(file, &found) || !S_ISFIFO(found.st_mode))
        return syscall(SYS_ioctl, file, request, argument);
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (readlink(link, path, sizeof path - 1) < 0) return -1;
    char *name = strrchr(path, '/');
    size_t size = _IOC_SIZE(request);
    if (request == EVIOCGRAB) {
        if (!flock(file, argument ? LOCK_EX | LOCK_NB : LOCK_UN)) return 0;
        errno = EBUSY;
        return -1;
    }
    if (_IOC_NR(request) == _IOC_NR(EVIOCGNAME(0))) {
        snprintf(argument, size, "Synthetic %s", name ? name + 1 : "");
        return strlen(argument) + 1;
    }
    if (_IOC_NR(request) != _IOC_NR(EVIOCGBIT(EV_KEY, 0))) {
        errno = EINVAL;
        return -1;
    }
    memset(argument, 0, size);
    if (name && strstr(name, "mouse")) have(argument, size, BTN_LEFT, BTN_TASK);
    else if (name && strstr(name, "gamepad")) have(argument, size, BTN_SOUTH, BTN_THUMBR);
    else if (name && strstr(name, "headset")) have(argument, size, KEY_MUTE, KEY_VOLUMEUP);
    else if (name && strstr(name, "telephone"))
        have(argument, size, KEY_NUMERIC_0, KEY_NUMERIC_POUND);
    else have(argument, size, KEY_ESC, KEY_COMPOSE);
    return size;
}
"""


def built(directory: Path) -> Path:
    """Build what is laid over a process that takes FIFOs for keyboards."""
    return preload.built(directory, "input", INPUT_C)


# What keys a device presses for a text.

EV_SYN, EV_KEY, EV_MSC = 0, 1, 4

SHIFT, CTRL, ALT, ALTGR = 42, 29, 56, 100

ENTER, TAB, ESC, BACKSPACE, DELETE, SPACE = 28, 15, 1, 14, 111, 57

NUMBER_PAD = MappingProxyType(
    dict(
        zip(
            "7894561230*-+./\r",
            (71, 72, 73, 75, 76, 77, 79, 80, 81, 82, 55, 74, 78, 83, 98, 96),
            strict=True,
        )
    )
)

EVERYWHERE = """
2 1 !
16 q Q
17 w W
18 e E
19 r R
20 t T
21 y Y
22 u U
23 i I
24 o O
25 p P
30 a A
31 s S
32 d D
33 f F
34 g G
35 h H
36 j J
37 k K
38 l L
44 z Z
45 x X
46 c C
47 v V
48 b B
49 n N
"""
DANISH = """
3 2 " @
4 3 # £
5 4 ¤ $
6 5 %
7 6 &
8 7 / {
9 8 ( [
10 9 ) ]
11 0 = }
12 + ?
13 \xb4 ` |
26 å Å
27 ¨ ^ ~
39 æ Æ
40 ø Ø
41 ½ §
43 ' *
50 m M µ
51 , ;
52 . :
53 - _
86 < > \\
"""
US = """
3 2 @
4 3 #
5 4 $
6 5 %
7 6 ^
8 7 &
9 8 *
10 9 (
11 0 )
12 - _
13 = +
26 [ {
27 ] }
39 ; :
40 ' "
41 ` ~
43 \\ |
50 m M
51 , <
52 . >
53 / ?
"""
"""Code of a key, and its characters without and with Shift and with AltGr, by xkb's dk and us."""

DEAD = "\xb4`¨^~"
"""Of the Danish layout; a Space behind makes a character of each."""

CONTROL = MappingProxyType(
    {"\r": ENTER, "\t": TAB, "\x1b": ESC, "\b": BACKSPACE, "\x7f": DELETE, " ": SPACE}
)


def _chords(table: str, dead: str) -> dict[str, tuple[int, ...]]:
    chords: dict[str, tuple[int, ...]] = {key: (code,) for key, code in CONTROL.items()}
    for row in (EVERYWHERE + table).split("\n"):
        code, *characters = row.split() or ("0",)
        for character, held in zip(characters, ((), (SHIFT,), (ALTGR,)), strict=False):
            space = (SPACE,) if character in dead else ()
            chords[character] = (*held, int(code), *space)
    return chords


CHORDS = MappingProxyType({"danish": _chords(DANISH, DEAD), "us": _chords(US, "")})
"""Layout -> character -> modifiers that are held, and keys; a dead key's Space is the last."""

Record = tuple[int, int, int]


def record(kind: int, code: int, value: int, at_s: float = 0.0) -> bytes:
    """Return an event as the kernel writes it."""
    return pack("@llHHi", int(at_s), int(at_s % 1 * 1e6), kind, code, value)


def records(events: Iterable[Record]) -> bytes:
    """Return events as the kernel writes them."""
    return b"".join(record(*event) for event in events)


def moved(code: int, value: int) -> Iterator[Record]:
    """Yield what one key does: its scan code first, as from USB, and the end of the report."""
    yield EV_MSC, 4, 0x70000 + code
    yield EV_KEY, code, value
    yield EV_SYN, 0, 0


def chord(*codes: int) -> Iterator[Record]:
    """Yield modifiers that are held while keys are pressed, and everything released again."""
    held = [code for code in codes if code in (SHIFT, CTRL, ALT, ALTGR)]
    for code in held:
        yield from moved(code, 1)
    for code in codes[len(held) :]:
        yield from moved(code, 1)
        yield from moved(code, 0)
        if code != codes[-1]:
            # The Space behind a dead key has no modifier.
            yield from (event for each in held for event in moved(each, 0))
            held = []
    for code in reversed(held):
        yield from moved(code, 0)


def typed(text: str, layout: str = "danish") -> Iterator[Record]:
    """Yield how a scanner types a text; what the layout lacks by Alt and a number."""
    for each in text:
        codes = CHORDS[layout].get(each)
        number = (NUMBER_PAD[digit] for digit in f"0{ord(each)}")
        yield from chord(*codes) if codes else _alt(number)


def _alt(number: Iterable[int]) -> Iterator[Record]:
    yield from moved(ALT, 1)
    for code in number:
        yield from moved(code, 1)
        yield from moved(code, 0)
    yield from moved(ALT, 0)


class KeyboardPlug(Plug):
    """A keyboard at a name; bytes are typed. One thread.

    It takes keys while the door does not read them, as many as a FIFO holds.
    """

    def __init__(
        self,
        name: Path,
        moved: Callable[[bool], None] = lambda _is_in: None,
        *,
        layout: str = "danish",
        key_gap_s: float = 0.0,
    ) -> None:
        super().__init__(name, moved)
        self._layout = layout
        self._gap_s = key_gap_s
        self._end = -1

    @property
    def is_in(self) -> bool:
        """Whether the device is plugged in."""
        return self._end >= 0

    def put_in(self, stored: bytes = b"") -> None:
        """Make the device appear; idempotent. It types what it has `stored` at once."""
        if self.is_in:
            return
        fresh = self.name.with_name(f"{self.name.name}.new")
        os.mkfifo(fresh)
        # To read as well: the other end may come and go.
        self._end = os.open(fresh, os.O_RDWR | os.O_CLOEXEC)
        assert stat.S_ISFIFO(os.fstat(self._end).st_mode)
        self.send(stored)
        fresh.replace(self.name)
        self._moved(True)

    def pull(self) -> None:
        """Make the device vanish; idempotent."""
        if self.is_in:
            self.name.unlink(missing_ok=True)
            os.close(self._end)
            self._end = -1
            self._moved(False)

    def send(self, data: bytes) -> None:
        """Type bytes, each as the character that Latin-1 has for it."""
        for each in data.decode("latin-1"):
            self.press(typed(each, self._layout))
            if self._gap_s:
                time.sleep(self._gap_s)

    def press(self, events: Iterable[Record]) -> None:
        """Let keys move."""
        self.write(records(events))

    def write(self, data: bytes) -> None:
        """Let bytes come that are records or pieces of them."""
        while data:
            data = data[os.write(self._end, data) :]
