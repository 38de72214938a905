"""Which parts of a text must nobody read? Keys, signatures and tokens, wherever they stand.

Two ways to find them: those that this process itself was given are known and looked for as they
are, and those of others by what they look like. What people say, and what SDKs put into their
errors (addresses with signatures, headers), passes here before it leaves a process.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

REPLACEMENT = "[redacted]"
_SHORTEST = 6  # characters: shorter ones would blot out ordinary words

# A value ends where a text, an address, a header, a connection string or JSON would go on.
_VALUE = r"[^\s\"'\\<>&;,)\]}]+"
_QUOTE = r"\\?+[\"']?+"
_PATTERNS = (
    # Signatures of SAS addresses, function keys in queries; percent-encoded where one address
    # stands in another's query.
    re.compile(rf"(?i)(?:\b|(?<=%3F)|(?<=%26))(sig|code)(=|%3D)(?!\[){_VALUE}"),
    # Connection strings of storage, service bus, databases and Application Insights.
    re.compile(
        r"(?i)\b(AccountKey|SharedAccessKey|SharedAccessSignature|InstrumentationKey|Password|"
        r"Pwd|ClientSecret)(\s*=\s*)(?!\[)[^\s\"'\\<>;]+"
    ),
    # Headers, as they stand in text, in JSON and in Python's own words for a dictionary.
    re.compile(
        r"(?i)\b(Authorization|Proxy-Authorization|x-functions-key|Cookie|Set-Cookie)"
        rf"({_QUOTE}\s*+[:=,]\s*+(?:b(?=[\"']))?+{_QUOTE}"
        r"(?:(?:Bearer|Basic|Digest|SharedKey(?:Lite)?)\s++)?+)"
        rf"(?!\[){_VALUE}"
    ),
    re.compile(r"(?i)\b(Bearer|SharedKey(?:Lite)?)(\s+)(?!\[)[\w.~+/:=-]{8,}"),
    re.compile(r"(?<![\w-])eyJ[\w-]++\.[\w-]++\.[\w-]*"),  # JSON Web Tokens
    re.compile(r"\b(whsec_)[\w+/=-]+"),  # what webhooks are signed with
    re.compile(r"(://[^\s/:@]+:)[^\s/@]+(?=@)"),  # a password within an address
)
_SECRET_NAME = re.compile(
    r"(?i)(secret|passw|token|authorization|cookie|signature|connection_?string|"
    r"(account|api|functions?|shared|access)[_-]?key)"
)


def _blotted(found: re.Match[str]) -> str:
    return "".join(map(str, found.groups(""))) + REPLACEMENT


class Redactor:
    """Takes secrets out of texts: by their looks, and those it is told of wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one may hold another.
        known = sorted({one for one in secrets if len(one) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def text(self, text: str) -> str:
        """Return the text without secrets."""
        if self._known is not None:
            text = self._known.sub(REPLACEMENT, text)
        for pattern in _PATTERNS:
            text = pattern.sub(_blotted, text)
        return text

    def value(self, value: object) -> object:
        """Return something that is to be logged without secrets, however deep they stand in it."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(repr(value))
        if isinstance(value, Mapping):
            return self.fields(value)
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(one) for one in value]
        return self.text(repr(value))

    def fields(self, fields: Mapping[Any, object]) -> dict[str, object]:
        """Return named values without secrets; what is named like one is taken out whole."""
        return {
            self.text(str(name)): REPLACEMENT
            if value and isinstance(value, str | bytes) and _SECRET_NAME.search(str(name))
            else self.value(value)
            for name, value in fields.items()
        }


def of_connection(connection_string: str) -> set[str]:
    """Return what of a connection string gives access."""
    parts = (part.partition("=") for part in connection_string.split(";"))
    return {
        value.strip()
        for name, _, value in parts
        if name.strip().lower() in {"accountkey", "sharedaccesssignature", "instrumentationkey"}
    }
