"""Reads JSON that anyone may have written into frozen, checked structs, and writes them: every file format begins here.

Define a format in ten lines (top-level classes carry the format's tag, classes of nested objects none):

    class WindowSpec(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.window/1"):
        noun: ClassVar = "window"
        made_by: ClassVar = "meloctl window FOLDER"

        bars: Annotated[int, Meta(ge=1, le=64)]
        share: Annotated[float, Meta(ge=0, le=1)] = 0.5
        relation: Literal["same", "cross"] = "same"

        def __post_init__(self) -> None:
            if self.share == 0 and self.bars > 8:
                raise MeloError("a share of 0 needs at most 8 bars")

    spec = WindowSpec.read(path)                   # or WindowSpec.from_json(data, where="window")
    atomic_write_text(path, spec.to_text())        # or spec.to_json(), a dict

What is refused, always with one MeloError line that says which file, which key, what was given and what is allowed: a file that
is missing, too large, nested too deep, not UTF-8 or not JSON (NaN, Infinity and numbers beyond a float are not JSON); a key
that stands twice in one object; another format's or version's tag; unknown keys, missing keys; values of another type or range
(true is no number, 1.0 no whole number, but 1 is a number). msgspec (https://jcristharif.com/msgspec) checks the types; it
says neither what was given nor which key of a mapping was at fault, so the line is worked out here, once something is wrong.
"""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, ClassVar, Self, Union, get_args, get_origin

import msgspec
from msgspec import inspect

from analysis.errors import MeloError

MAX_BYTES = 64 << 20
"""A larger file is none of ours, unless its reader says so."""

_MOST_INT = (1 << 63) - 1
"""Meta's bounds must fit into an int64, and without one a whole number may have thousands of digits."""

_REFUSED = (msgspec.ValidationError, UnicodeEncodeError, MeloError)
"""What conversion raises: of types and ranges, of half a surrogate pair in data that no JSON file gave, of `__post_init__`."""


class JsonSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An object of a JSON format. Subclasses repeat the three options: type checkers read them, and msgspec wants kw_only."""

    noun: ClassVar[str] = "object"
    """What the format holds, in messages: "mask"."""

    made_by: ClassVar[str] = ""
    """The command that writes it, in messages: "meloctl derive-mask"."""

    @classmethod
    def read(cls, path: Path, *, max_bytes: int = MAX_BYTES) -> Self:
        """A spec from a file. Raises MeloError when it is missing, damaged, or not of this format."""
        return cls.from_json(read_json(path, what=cls.noun, max_bytes=max_bytes), where=str(path))

    @classmethod
    def installed(cls, package: str, name: str) -> Self:
        """The spec in the file `name` that is installed with a package of ours."""
        text = (files(package) / name).read_text(encoding="utf-8")
        return cls.from_json(parse_json(text, what=cls.noun, where=name), where=name)

    @classmethod
    def from_json(cls, data: object, *, where: str | None = None) -> Self:
        """A spec from parsed JSON; `where` names it in errors (else its noun). Raises MeloError when it is not of this format."""
        where = cls.noun if where is None else where
        _check_format(cls, data, where)
        try:
            spec: Self = _convert(data, cls)
        except _REFUSED as error:
            raise MeloError(f"{where}: {_mistake(data, cls, '')}") from error
        return spec

    def to_json(self) -> dict[str, Any]:
        """The JSON object, its tag first. Raises ValueError for NaN and infinity."""
        plain: dict[str, Any] = json.loads(json.dumps(msgspec.to_builtins(self, str_keys=True), allow_nan=False))
        return plain

    def to_text(self) -> str:
        """The file's text."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"

    def check(self) -> None:
        """Raise MeloError unless each value has its field's type and range; for `__post_init__` of specs that code builds too."""
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            if not _fits(value, field.type):
                raise MeloError(_mistake(value, field.type, field.encode_name))


def read_json(path: Path, *, what: str, max_bytes: int = MAX_BYTES) -> Any:
    """Parsed JSON of a file; `what` names its kind in errors. Raises MeloError when it is missing, huge or not JSON."""
    try:
        raw = bytearray()
        with path.open("rb") as file:
            while len(raw) <= max_bytes and (part := file.read(1 << 16)):
                raw += part
    except OSError as error:
        raise MeloError(f"{path}: cannot read this {what}: {(error.strerror or 'unknown reason').lower()}") from error
    if len(raw) > max_bytes:
        raise MeloError(f"{path}: larger than a {what} can be ({max_bytes >> 20} MiB)")
    return parse_json(raw, what=what, where=str(path))


def parse_json(raw: bytes | bytearray | str, *, what: str, where: str) -> Any:
    """Parsed JSON of a text, `where` it stands and `what` it is in errors. Raises MeloError when it is not JSON."""
    try:
        data = msgspec.json.decode(raw)
        json.loads(raw, object_pairs_hook=_refuse_repeated)
    except (ValueError, RecursionError) as error:  # msgspec's and json's own errors are ValueErrors
        raise MeloError(
            f"{where}: damaged, it is not JSON ({str(error)[:80]}); give a {what} as meloctl writes it"
        ) from error
    return data


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        key = "0" if key == "-0" else key  # msgspec takes "-0" for the whole number 0
        if key in seen:
            raise ValueError(f"key {_shown(key)} stands twice in an object")
        seen.add(key)


def _convert(data: Any, annotation: Any) -> Any:
    return msgspec.convert(data, annotation, strict=True, str_keys=True)


def _check_format(spec: type[JsonSpec], data: object, where: str) -> None:
    tag, key = spec.__struct_config__.tag, spec.__struct_config__.tag_field
    if isinstance(data, dict) and (key is None or data.get(key) == tag):
        return
    make = f"; make one with: {spec.made_by}" if spec.made_by else ""
    given = data.get(key) if isinstance(data, dict) else None
    if isinstance(given, str) and given.partition("/")[0] == str(tag).partition("/")[0]:
        raise MeloError(f'{where}: of another version of meloctl (its "format" is {_shown(given)}, not "{tag}"){make}')
    reason = f' (its "{key}" is not "{tag}")' if key else " (it must be an object)"
    raise MeloError(f"{where}: not a {spec.noun}{reason}{make}")


def _mistake(value: Any, annotation: Any, at: str) -> str:
    """What is wrong with a value that msgspec refused, and where in it: descends to the deepest part that is refused."""
    whole, annotation = annotation, _chosen(_bare(annotation), value)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) and isinstance(value, dict):
        return _object_mistake(value, annotation, at)
    for key, child, kind in _children(value, annotation):
        if not _fits(child, kind):
            return _mistake(child, kind, f"{at}[{_shown(key)}]")
        if isinstance(value, dict) and not _fits({key: None}, dict[get_args(annotation)[0], Any]):  # type: ignore[misc]
            return f"{at}: its key {_shown(key)} must be {_in_words(inspect.type_info(get_args(annotation)[0]))}"
    return f"{at} is {_shown(value)}; it must be {_in_words(inspect.type_info(whole))}"


def _fits(value: Any, annotation: Any) -> bool:
    try:
        _convert(value, annotation)
    except _REFUSED:
        return False
    return True


def _object_mistake(data: dict[str, Any], struct: type[msgspec.Struct], at: str) -> str:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    known = {*fields, *([struct.__struct_config__.tag_field] if struct.__struct_config__.tag_field else [])}
    prefix = f"{at}: " if at else ""
    for key in data:
        if key not in known:
            return f"{prefix}unknown key {_shown(key)}; known are {', '.join(sorted(known))}"
    for name, field in fields.items():
        if name not in data:
            if field.required:
                return f"{prefix}no {name!r} in it; it must be {_in_words(inspect.type_info(field.type))}"
            continue
        if not _fits(data[name], field.type):
            return _mistake(data[name], field.type, f"{at}.{name}" if at else name)
    try:
        _convert(data, struct)
    except _REFUSED as error:  # what __post_init__ found
        return f"{prefix}{error}"
    raise AssertionError("a mistake was looked for in what has none")


def _bare(annotation: Any) -> Any:
    """An annotation without Annotated's constraints where it has parts to look into; a plain value keeps them."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    return inner if get_origin(inner) is not None else annotation


def _chosen(annotation: Any, value: Any) -> Any:
    """Of a union, the member that the value's kind, object or list, points to; the union itself where there is no such."""
    if get_origin(annotation) not in (Union, UnionType) or not isinstance(value, dict | list | tuple):
        return annotation
    kinds = (dict, Mapping) if isinstance(value, dict) else (list, tuple)
    members = [m for m in get_args(annotation) if _is_kind(_bare(m), kinds, struct=isinstance(value, dict))]
    return _bare(members[0]) if len(members) == 1 else annotation


def _is_kind(annotation: Any, kinds: tuple[type, ...], *, struct: bool) -> bool:
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and (
        any(origin is k or issubclass(origin, k) for k in kinds) or (struct and issubclass(origin, msgspec.Struct))
    )


def _children(value: Any, annotation: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """(key or index, value, annotation) of each entry of a mapping or list."""
    kinds = get_args(annotation)
    origin = get_origin(annotation)
    if isinstance(value, dict) and origin in (dict, Mapping):
        for key, child in value.items():
            yield key, child, kinds[1]
    elif isinstance(value, list | tuple) and origin in (list, tuple):
        many = origin is list or kinds[-1] is Ellipsis
        if many or len(kinds) == len(value):
            for i, child in enumerate(value):
                yield i, child, kinds[0] if many else kinds[i]


def _in_words(info: inspect.Type) -> str:
    """What a field's type allows, in words."""
    match info:
        case inspect.IntType() | inspect.FloatType():
            return _number_in_words(info)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.LiteralType():
            return " or ".join(json.dumps(value) for value in info.values)
        case inspect.StrType():
            most = "" if info.max_length is None else f" of at most {info.max_length:,} characters"
            return f"a text{most}" if info.pattern is None else f"a text{most} that matches {info.pattern}"
        case inspect.ListType() | inspect.VarTupleType():
            most = "" if info.max_length is None else f" of at most {info.max_length:,}"
            return f"a list{most}, each {_in_words(info.item_type)}"
        case inspect.TupleType():
            return f"a list of {len(info.item_types)}: {', '.join(map(_in_words, info.item_types))}"
        case inspect.DictType():
            return f"an object, each key {_in_words(info.key_type)}, each value {_in_words(info.value_type)}"
        case inspect.StructType():
            return f"an object with {', '.join(field.encode_name for field in info.fields)}"
        case inspect.UnionType():
            return ", or ".join(map(_in_words, info.types))
        case inspect.Metadata():
            return _in_words(info.type)
        case _:
            return "another value"


def _number_in_words(info: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(info, inspect.IntType) else "a number"
    if info.ge is not None and info.le == _MOST_INT:
        return f"{noun} ≥ {info.ge:,}"
    if info.ge is not None and info.le is not None:
        return f"{noun}{',' if noun == 'a whole number' else ' from'} {info.ge:,} to {info.le:,}"
    bounds = ((info.ge, "≥"), (info.gt, ">"), (info.le, "≤"), (info.lt, "<"))
    return " ".join([noun, *(f"{sign} {bound:,}" for bound, sign in bounds if bound is not None)])


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a huge number"
    return text if len(text) <= 40 else f"{text[:39]}…"
