"""The body of a request from the options ``--data``, ``--json`` and ``--form``, or a file.

Not here: reading files and standard input (upload.py), and the encodings (http/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from ..http.redaction import quoted
from .outcome import CommandFailed

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
# A surrogate stands for a byte of the command line that is not UTF-8; it is sent as that byte.
BYTES: Final = "surrogateescape"


class Body(NamedTuple):
    """A body for `Client.build_request`.

    Attributes:
        options: its arguments.
        fields: header fields, unless the user gives others.

    """

    options: dict[str, Any]
    fields: list[tuple[str, str]]


class FormField(NamedTuple):
    """A value of ``--form``.

    Attributes:
        name: of the field.
        value: its text, or the name of a file.
        is_file: True for the latter.

    """

    name: str
    value: str
    is_file: bool


@contextmanager
def open_body(
    patience: float | None,
    *,
    file: str | None = None,
    data: str | None = None,
    json_text: str | None = None,
    form: Sequence[FormField] = (),
) -> Iterator[Body]:
    """Yield the body for the arguments of a user, of which one is given at most.

    Args:
        patience: seconds for which standard input, if it is non-blocking, may have nothing.
        file: name of a file to send as it is; ``-`` is standard input.
        data: text, or ``@`` and the name of a file.
        json_text: the same, for JSON.
        form: the fields of a form.

    Raises:
        CommandFailed: a file cannot be a part of a form.
        OSError: a file cannot be read.

    """
    if form:
        yield _form_body(form)
        return
    fields = []
    if json_text is not None:
        data, fields = json_text, [("Content-Type", JSON), ("Accept", JSON)]
    if data is not None:
        text, file = at_file(data)
        if file is None:
            yield Body({"content": text.encode("utf-8", BYTES)}, fields or [("Content-Type", TEXT)])
            return
        if not fields and (kind := _type_of(file)):
            fields = [("Content-Type", kind)]
    if file is None:
        yield Body({}, [])
        return
    from .upload import UploadBody, open_upload  # noqa: PLC0415 - 3 ms, for files

    with open_upload(file, patience) as upload:
        content: Any = upload.whole()
        if content is None:
            content = upload.stored() or UploadBody(upload)
        yield Body({"content": content}, fields)


def at_file(value: str) -> tuple[str, str | None]:
    """Return the text of *value*, and the name of a file if it is one, after ``@``.

    A text that begins with ``@`` is written with another one in front.
    """
    if value.startswith("@@"):
        return value[1:], None
    return ("", value[1:]) if value.startswith("@") else (value, None)


def json_problem(value: str) -> str | None:
    """Return what is wrong with *value*, of ``--json``; None if it is a file, or JSON."""
    text, file = at_file(value)
    if file is not None:
        return None
    import json  # noqa: PLC0415 - for --json only

    try:
        json.loads(text)
    except ValueError as exc:
        return f"not JSON: {exc}"
    except RecursionError:
        return "JSON that is nested too deeply"
    return None


def _type_of(file: str) -> str | None:
    import mimetypes  # noqa: PLC0415 - slow, and seldom needed

    kind, coding = mimetypes.guess_type(Path(file).name)
    return kind if coding is None else None  # that of compressed files is another


def _form_body(form: Sequence[FormField]) -> Body:
    texts = [(field.name, field.value.encode("utf-8", BYTES).decode("utf-8", "replace"))
             for field in form if not field.is_file]  # fmt: skip
    files = []
    for field in form:
        if field.is_file:
            path = Path(field.value)
            if not path.is_file():
                path.stat()  # raises why, usually
                raise CommandFailed(f"{field.value}: a file of a form is a regular file")
            files.append((field.name, (path.name, path)))
    options: dict[str, Any] = {"data": texts}
    if files:
        options["files"] = files
    return Body(options, [])


def form_problem(value: str) -> str | None:
    """Return what is wrong with *value*, of ``--form``; None if it is ``NAME=...``."""
    name, equals, _ = value.partition("=")
    if not equals or not name:
        return f"not NAME=VALUE or NAME=@FILE: {quoted(name)}"
    return None


def form_field(value: str) -> FormField:
    """Return the field of *value*, which has no `form_problem`."""
    name, _, rest = value.partition("=")
    text, file = at_file(rest)
    return FormField(name, text, False) if file is None else FormField(name, file, True)
