"""A page as a browser takes it, without one."""

from html.parser import HTMLParser


class ShownPage(HTMLParser):
    """What a browser makes of a page: its elements, its text, and its one form."""

    void = frozenset({"meta", "link", "input", "wbr"})

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.void:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, with runs of blanks as one."""
        return " ".join("".join(self.texts).split())

    @property
    def tags(self) -> set[str]:
        """The elements that there are."""
        return {tag for tag, _ in self.elements}

    def values_of(self, attribute: str) -> list[str]:
        """What an attribute says, wherever it stands."""
        return [attributes[attribute] or "" for _, attributes in self.elements if attribute in attributes]

    def every(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def fields(self) -> dict[str, str]:
        """What the form would send as it is, but for its buttons."""
        return {each["name"] or "": each.get("value") or "" for each in self.every("input")}

    @property
    def action(self) -> str:
        """Where the form goes."""
        (form,) = self.every("form")
        assert form["method"] == "post"
        return form["action"] or ""
