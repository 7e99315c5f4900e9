"""HTML as the text that a reader sees, and where in it the offsets into the page's text nodes lie."""

from html.parser import HTMLParser

_BLOCKS = {"p", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "blockquote", "pre"}
_UNSEEN = {"script", "style", "title"}


class Rendered(HTMLParser):
    """The text of a page: its blocks on lines of their own, without tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._length, self._unseen = 0, 0
        self._places: list[int] = []  # for each character of the text nodes, where it is in the text
        self.feed(html)
        self.close()
        self.text = "".join(self._parts).rstrip("\n")

    def handle_starttag(self, tag: str, attrs: list) -> None:
        """A line ends before a block; a break is a character of its own, as in Label Studio."""
        self._unseen += tag in _UNSEEN
        if tag == "br":
            self.handle_data("\n")
        elif tag in _BLOCKS:
            self._end_line()

    def handle_endtag(self, tag: str) -> None:
        """A line ends after a block."""
        self._unseen = max(0, self._unseen - (tag in _UNSEEN))
        if tag in _BLOCKS:
            self._end_line()

    def handle_data(self, data: str) -> None:
        """A text node."""
        seen = data * (not self._unseen)
        for char in data:  # JavaScript counts an emoji as two
            self._places += [self._length] * (2 if char > "\uffff" else 1)
            self._length += len(seen) > 0
        self._parts.append(seen)

    def place(self, offset: object) -> object:
        """Where an offset into the text nodes lies in the text; the offset itself if there is no such place."""
        if type(offset) is not int or not 0 <= offset <= len(self._places):
            return offset
        return self._places[offset] if offset < len(self._places) else self._length

    def end(self, offset: object) -> object:
        """The same for the end of a region: right after its last character."""
        return self.place(offset - 1) + 1 if type(offset) is int and 0 < offset <= len(self._places) else offset

    def _end_line(self) -> None:
        if self._length and not self._parts[-1].endswith("\n"):
            self._parts.append("\n")
            self._length += 1


def render(html: str) -> Rendered | None:
    """The page, or None if the parser of Python gives up on it."""
    try:
        return Rendered(html)
    except AssertionError:  # on marks such as <![x[
        return None
