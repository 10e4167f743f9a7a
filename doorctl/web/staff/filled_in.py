"""What staff fill in on several pages: a card, a reason, a day, the number of a row.

A card that was swiped or typed goes from the form to a service and nowhere else: no page shows it
again, not even if it could not be read.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from secrets import token_urlsafe
from typing import Final, Generic, TypeVar, cast

from starlette.responses import Response

from doorctl.cards.identify import normalise
from doorctl.core.dates import read_day, read_minute, read_moment
from doorctl.core.errors import DoorctlError, InputError, StuckError
from doorctl.core.texts import refuse_purpose
from doorctl.lookup.numbers import TakenAs
from doorctl.privacy.subject import may_be_cpr
from doorctl.services.subject import Named
from doorctl.web.forms import Form
from doorctl.web.frame import Page, PageRequest, Take
from doorctl.web.words import Words

ResultT = TypeVar("ResultT")
ValueT = TypeVar("ValueT")

CARD, TAKEN_AS, REASON, OWN_WORDS = "card", "taken_as", "reason", "own_words"
PATRON_REF: Final = "patron_ref"
OTHER: Final = "other"
"""The reason that needs a text beside it."""

ENDING_DIGITS: Final = 4
"""The last digits of a number that are shown again."""

MOST_DIGITS: Final = 9
"""The most digits of a row's number; SQLite would refuse some longer ones."""


class FieldError(InputError):
    """Staff's fault: one field of a form makes no sense."""

    def __init__(self, field: str, text: str, /, **values: object) -> None:
        self.field = field
        super().__init__(text, **values)


class FormError(InputError):
    """Staff's fault: several fields of a form make no sense; its text is the first one's."""

    def __init__(self, faults: Sequence[FieldError]) -> None:
        self.faults = tuple(faults)
        super().__init__(faults[0].text, **faults[0].values)


class Faults:
    """What is wrong in the fields of a form that is being read, so that staff see all at once.

    Use each value only after :meth:`refuse`: a field that makes no sense leaves none.
    """

    def __init__(self) -> None:
        self._found: dict[str, FieldError] = {}

    @contextmanager
    def of_field(self, name: str) -> Iterator[None]:
        """Keep an InputError of the block, of the field that it names, or of this one."""
        try:
            with of_field(name):
                yield
        except FormError as error:
            for fault in error.faults:
                self._found.setdefault(fault.field, fault)
        except FieldError as error:
            self._found.setdefault(error.field, error)

    def refuse(self) -> None:
        """Raise FieldError or FormError where something is wrong, in the order of the fields."""
        faults = list(self._found.values())
        if faults:
            raise faults[0] if len(faults) == 1 else FormError(faults)


def wrongs(request: PageRequest, error: InputError | None, otherwise: str) -> dict[str, str]:
    """Return an error's sentences by the fields that they are about; empty for no error."""
    if error is None:
        return {}
    if isinstance(error, FormError):
        return {fault.field: request.words.refusal(fault) for fault in error.faults}
    field = error.field if isinstance(error, FieldError) else otherwise
    return {field: request.words.refusal(error)}


@contextmanager
def of_field(name: str) -> Iterator[None]:
    """Turn an InputError of the block into a `FieldError` of a field, unless it names one."""
    try:
        yield
    except (FieldError, FormError):
        raise
    except InputError as error:
        raise FieldError(name, error.text, **error.values) from None


FORMS_KEPT: Final = 1000
"""Forms to remember once they are sent; an older form was closed long ago."""


def once(take: Take) -> Take:
    """Return what takes a form, but no form twice: a page that is loaded again sends its own again.

    A form that was refused can be mended and sent again, one that may be done yet can't.
    """
    sent: deque[str] = deque(maxlen=FORMS_KEPT)

    async def taken(request: PageRequest, form: Form) -> Response:
        token = form.text("once")
        if token and token in sent:
            raise InputError("this form was sent before; the list shows what it did")
        sent.append(token)
        try:
            return await take(request, form)
        except StuckError:
            raise
        except DoorctlError:
            sent.remove(token)
            raise

    return taken


MOST_KEPT: Final = 50


class Kept(Generic[ValueT]):
    """What one account takes from a page to the next, by a token in the address.

    Belongs to the event loop. Only the newest are kept, and none over a restart; where a value is
    gone, `gone` is the page that says so.
    """

    def __init__(self, gone: str) -> None:
        self._gone = gone
        self._values: OrderedDict[tuple[str, str], ValueT] = OrderedDict()

    def keep(self, request: PageRequest, value: ValueT) -> str:
        """Keep a value for who is signed in; return its token."""
        token = token_urlsafe(9)
        self._values[request.by, token] = value
        if len(self._values) > MOST_KEPT:
            self._values.popitem(last=False)
        return token

    def see(self, request: PageRequest, token: str | None = None) -> ValueT | None:
        """Return a value that :meth:`take` has not taken yet, by the address's token or another."""
        return self._values.get((request.by, _token(request) if token is None else token))

    def take(self, request: PageRequest) -> ValueT | None:
        """Return a value once; None where it was taken or is another account's."""
        return self._values.pop((request.by, _token(request)), None)

    def seen(self, page: Callable[[PageRequest, ValueT], Awaitable[Response]]) -> Page:
        """Return a page that is given the value of the token in its address."""

        async def shown(request: PageRequest) -> Response:
            value = self.see(request)
            return request.done(self._gone, "gone") if value is None else await page(request, value)

        return shown

    def taken(self, deed: Callable[[PageRequest, ValueT], Awaitable[Response]]) -> Take:
        """Return what takes the form of such a page, and does its deed once."""

        async def done(request: PageRequest, _form: Form) -> Response:
            value = self.take(request)
            return request.done(self._gone, "gone") if value is None else await deed(request, value)

        return done


def _token(request: PageRequest) -> str:
    return str(request.http.path_params["token"])


def card(form: Form) -> str:
    """Return the card as it was swiped or typed; raises InputError for none."""
    typed = form.text(CARD)
    if not typed:
        raise InputError("swipe the card, or type its number")
    _refuse_name(typed)
    return typed


def _refuse_name(typed: str) -> None:
    if not any(map(str.isdigit, typed)):
        raise InputError("that has no digit, so it is no card; swipe the card, or type its number")


def named(form: Form) -> Named:
    """Return whom a form names, by a card or by the library system's number, and not by both."""
    ref, typed = form.text(PATRON_REF), form.text(CARD)
    if not ref and not typed:
        raise InputError("scan or type the card, or give the number in the library system")
    if ref and typed:
        raise InputError("give the card, or the number in the library system, and not both")
    if typed:
        _refuse_name(typed)
    return Named(typed or None, ref or None, taken_as(form) if typed else None)


def member(kind: Callable[[str], ResultT], written: str, refusal: str) -> ResultT:
    """Return the member of an enumeration that a form chooses, or refuse with this text."""
    try:
        return kind(written)
    except ValueError:
        raise InputError(refusal) from None


def shown_again(form: Form) -> Form:
    """Return a form to show again, without a card, and without a CPR number in `patron_ref`."""
    hidden = {CARD} | ({PATRON_REF} if may_be_cpr(form.text(PATRON_REF)) else set())
    return Form({name: values for name, values in form.fields.items() if name not in hidden})


def taken_as(form: Form) -> TakenAs | None:
    """Return how to read a number; None for both ways."""
    chosen = form.text(TAKEN_AS)
    return cast(TakenAs, chosen) if chosen in {"card", "cpr"} else None


def reason(form: Form, listed: Mapping[str, str], words: Words) -> str:
    """Return the reason that was chosen, with the text that was written beside it.

    `listed` has the English reasons by the form's keys. `words` are of the branch's own language,
    because others read what is kept. Raises FieldError where a reason or its text is missing or
    makes no sense.
    """
    chosen, own = form.text(REASON), form.text(OWN_WORDS)
    if chosen not in listed:
        raise FieldError(REASON, "choose a reason")
    if chosen == OTHER and not own:
        raise FieldError(OWN_WORDS, "write the reason in a few words")
    listed_text = "" if chosen == OTHER else words.say(listed[chosen])
    text = ": ".join(filter(None, (listed_text, own)))
    with of_field(OWN_WORDS):
        refuse_purpose(text, "reason")
    return text


def day(form: Form, name: str, today: date | None = None, *, past: bool = False) -> date | None:
    """Return the day in a field, None for an empty one; raises FieldError.

    With the page's `today`, 24/12 needs no year: it is the next one, or with `past` the last one.
    """
    with of_field(name):
        return read_day(form.text(name), today, past=past) if form.text(name) else None


def minute(form: Form, name: str) -> int | None:
    """Return the time of day in a field, 0-1440 minutes; as :func:`day`."""
    with of_field(name):
        return read_minute(form.text(name)) if form.text(name) else None


def moment(form: Form, name: str, today: date, *, past: bool = False) -> datetime | None:
    """Return the local time in a field, without a zone; a time alone is today's; as :func:`day`."""
    with of_field(name):
        return read_moment(form.text(name), today, past=past) if form.text(name) else None


def reason_again(reason: str, listed: Mapping[str, str], words: Words) -> dict[str, tuple[str]]:
    """Return the fields of a form by which :func:`reason` makes a reason again."""
    text, _, own = reason.partition(": ")
    keys = {words.say(english): key for key, english in listed.items()}
    return {REASON: (keys.get(text, OTHER),), OWN_WORDS: (own if text in keys else reason,)}


def ending(typed: str) -> str:
    """Return the last digits of a typed or swiped number, to see a slip of the fingers by."""
    numbers = normalise(typed)
    return (numbers[0].reveal() if numbers else typed)[-ENDING_DIGITS:]


def row_number(request: PageRequest) -> int:
    """Return the row's number in the address; raises InputError where there can be no such row."""
    return number(str(request.http.path_params["number"]))


def number(written: str) -> int:
    """Return a row's number; raises InputError where there can be no such row."""
    if len(written) > MOST_DIGITS or not (written.isascii() and written.isdigit()):
        raise InputError("there is none of that number")
    return int(written)
