"""The words by which a form of documents spells an enumeration."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, TypeVar

from vigie.core.letter_case import canonical

Member = TypeVar("Member", bound=StrEnum)


class Spelling(Generic[Member]):
    """An enumeration in the words of one form: a documented word for each member, and aliases of some."""

    def __init__(self, words: Mapping[str, Member], aliases: Mapping[str, Member] | None = None) -> None:
        self.members: Mapping[str, Member] = MappingProxyType(dict(words))
        """The documented words, in their order."""
        self.aliases: Mapping[str, Member] = MappingProxyType(dict(aliases or {}))
        """Other words that clients send, and documents may hold."""
        self._all = {**words, **self.aliases}
        self._words = {member: word for word, member in words.items()}

    def word(self, member: Member) -> str:
        """The documented word of a member."""
        return self._words[member]

    def canonical(self, text: str) -> str | None:
        """The word, or alias, that this is in any letter case."""
        return text if text in self._all else canonical(text, self._all)

    def member(self, text: str) -> Member | None:
        """The member of a word, or of an alias, in any letter case."""
        found = self.canonical(text)
        return None if found is None else self._all[found]
