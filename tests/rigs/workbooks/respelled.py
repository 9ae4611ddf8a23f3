"""The same workbook in other words: prefixes, quotes, places, blanks. It means what it meant; a spreadsheet shows the same.

Each kind changes the parts of an xlsx, as text. `STRANGE` ones the library may not read: then the file must be refused.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Callable
from random import Random

__all__ = ["KINDS", "STRANGE", "respelled"]

Parts = dict[str, str]

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TAG = re.compile(r"<(/?)([A-Za-z]\w*)((?:\s+[\w:]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*(/?)>")
_ATTRIBUTE = re.compile(r"([\w:]+)\s*=\s*\"([^\"]*)\"")
_VALUE = re.compile(r"<v>(\d+)</v>")


def respelled(content: bytes, chance: Random) -> tuple[bytes, list[str]]:
    """The workbook, and the kinds of spelling that changed it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    done = []
    for kind in sorted(chance.sample(list(KINDS), chance.randint(0, 3)), key=list(KINDS).index):
        before = list(parts.items())
        parts = KINDS[kind](parts, chance)
        if list(parts.items()) != before:
            done.append(kind)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue(), done


def _sheets(parts: Parts) -> list[str]:
    return [name for name in parts if "sheet" in name.lower().rpartition("/")[2] and ".rels" not in name.lower()]


def _in(names: Callable[[Parts], list[str]], change: Callable[[str, Random], str]) -> Callable[[Parts, Random], Parts]:
    return lambda parts, chance: parts | {name: change(parts[name], chance) for name in names(parts)}


def _books(parts: Parts) -> list[str]:
    return [
        *_sheets(parts),
        *(name for name in parts if name.endswith(("workbook.xml", "sharedStrings.xml", "styles.xml"))),
    ]


def _all(parts: Parts) -> list[str]:
    return [name for name in parts if name.endswith((".xml", ".rels"))]


def _prefix(text: str, chance: Random) -> str:
    """Every element of the main namespace gets a prefix, which no attribute has."""
    if f'xmlns="{_MAIN}"' not in text:
        return text
    prefix = chance.choice(("x", "main", "ss", "row"))
    text = text.replace(f'xmlns="{_MAIN}"', f'xmlns:{prefix}="{_MAIN}"')
    return _TAG.sub(lambda tag: f"<{tag[1]}{prefix}:{tag[2]}{tag[3]}{tag[4]}>", text)


def _quotes(text: str, chance: Random) -> str:
    def change(tag: re.Match[str]) -> str:
        return tag[0] if "'" in tag[0] else tag[0].replace('"', "'")

    return _TAG.sub(change, text)


def _order(text: str, chance: Random) -> str:
    def change(tag: re.Match[str]) -> str:
        found = _ATTRIBUTE.findall(tag[3])
        chance.shuffle(found)
        rest = "".join(f' {name}="{value}"' for name, value in found)
        return tag[0] if "'" in tag[3] else f"<{tag[1]}{tag[2]}{rest}{tag[4]}>"

    return _TAG.sub(change, text)


def _blanks(text: str, chance: Random) -> str:
    """Between the attributes and between rows and cells."""
    text = _ATTRIBUTE.sub(lambda found: f'{chance.choice(("", chr(10)))}{found[1]} =  "{found[2]}"', text)
    return re.sub(r"(</(?:row|c)>)", lambda end: end[1] + chance.choice(("", "\n  ", "\t")), text)


def _comments(text: str, chance: Random) -> str:
    return re.sub(
        r"(<(?:row|c|sheetData)\b)", lambda tag: chance.choice(("", '<!-- hidden="1" -->', "<?x row?>")) + tag[1], text
    )


def _no_dimension(text: str, chance: Random) -> str:
    return re.sub(r"<dimension [^>]*/>", "", text)


def _any_dimension(text: str, chance: Random) -> str:
    said = chance.choice(("A1", "A1:XFD1048576", "C3:D4"))
    return re.sub(r'<dimension ref="[^"]*"', f'<dimension ref="{said}"', text)


def _strict(text: str, chance: Random) -> str:
    purl = "http://purl.oclc.org/ooxml"
    return text.replace(_MAIN, f"{purl}/spreadsheetml/main").replace(_RELATIONS, f"{purl}/officeDocument/relationships")


def _empty_ends(text: str, chance: Random) -> str:
    """`<c/>` as `<c></c>`."""
    return _TAG.sub(lambda tag: f"<{tag[2]}{tag[3]}></{tag[2]}>" if tag[4] else tag[0], text)


def _yes(text: str, chance: Random) -> str:
    return text.replace('hidden="1"', 'hidden="true"')


def _bom(text: str, chance: Random) -> str:
    return "\ufeff" + text if not text.startswith("\ufeff") else text


def _foreign(text: str, chance: Random) -> str:
    """Attributes and elements of other namespaces."""
    return re.sub(r"<row ", '<row xmlns:y="urn:y" y:hidden="1" y:r="99" ', text)


def _moved(parts: Parts, chance: Random) -> Parts:
    return _to(chance.choice(("xl/s", "xl/worksheets/deep/er", "xl/hoja uno", "xl")), parts, chance)


def _moved_out(parts: Parts, chance: Random) -> Parts:
    return _to(chance.choice(("data", "xl2/sheets")), parts, chance)


def _to(folder: str, parts: Parts, chance: Random) -> Parts:
    """The sheets lie in another folder; their relations say so."""
    targets = {name: f"{folder}/{name.rpartition('/')[2]}" for name in _sheets(parts)}
    if set(targets.values()) & parts.keys():
        return parts
    relations = next(name for name in parts if name.endswith("workbook.xml.rels"))
    base = relations.partition("_rels/")[0]
    absolute = chance.random() < 0.5
    text = parts[relations]
    for name, target in targets.items():
        said = f"/{target}" if absolute else posixpath.relpath(target, base or ".")
        for old in (f"/{name}", posixpath.relpath(name, base or ".")):
            text = text.replace(f'Target="{old}"', f'Target="{said}"')
    return {targets.get(name, name): text if name == relations else old for name, old in parts.items()}


def _backslashes(parts: Parts, chance: Random) -> Parts:
    return {name.replace("/", "\\"): text for name, text in parts.items()}


def _case(parts: Parts, chance: Random) -> Parts:
    return {name.upper() if name != "[Content_Types].xml" else name: text for name, text in parts.items()}


def _shuffled(parts: Parts, chance: Random) -> Parts:
    names = list(parts)
    chance.shuffle(names)
    return {name: parts[name] for name in names}


def _references(text: str, chance: Random) -> str:
    """A digit as a character reference."""
    return _VALUE.sub(lambda value: f"<v>{value[1][:-1]}&#{ord(value[1][-1])};</v>", text)


def _split(text: str, chance: Random) -> str:
    """A value with something inside it, or in a section of its own."""
    forms = (
        "<v>{}<!-- 1 -->{}</v>",
        "<v><![CDATA[{}{}]]></v>",
        "<v>{}<![CDATA[{}]]></v>",
        "<v><?x?>{}{}</v>",
        "<v> {}{} </v>",
    )
    form = chance.choice(forms)
    return _VALUE.sub(lambda value: form.format(value[1][:-1], value[1][-1]), text)


KINDS: dict[str, Callable[[Parts, Random], Parts]] = {  # in this order: names change last
    "moved": _moved,
    "moved out": _moved_out,
    "prefix": _in(_books, _prefix),
    "single quotes": _in(_all, _quotes),
    "order of attributes": _in(_sheets, _order),
    "blanks": _in(_sheets, _blanks),
    "comments": _in(_sheets, _comments),
    "no dimension": _in(_sheets, _no_dimension),
    "a wrong dimension": _in(_sheets, _any_dimension),
    "strict": _in(_all, _strict),
    "empty elements": _in(_sheets, _empty_ends),
    "true for 1": _in(_sheets, _yes),
    "byte order mark": _in(_books, _bom),
    "foreign attributes": _in(_sheets, _foreign),
    "character references": _in(_sheets, _references),
    "split values": _in(_sheets, _split),
    "backslashes": _backslashes,
    "upper case": _case,
    "shuffled parts": _shuffled,
}
STRANGE = frozenset({"character references", "split values", "moved out"})
