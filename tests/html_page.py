"""An HTML page as tests read it."""

from html.parser import HTMLParser

EMPTY = {"meta", "link", "br", "input"}


class Element:
    def __init__(self, name, attributes, parent):
        self.name, self.attributes, self.parent = name, attributes, parent
        self.inside, self.words = [], []

    def all(self, name):
        for child in self.inside:
            if child.name == name:
                yield child
            yield from child.all(name)

    @property
    def text(self):
        return "".join(w if isinstance(w, str) else w.text for w in self.words)


class Page(HTMLParser):
    """The page as a tree; fails where a tag is not closed in its turn."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)
        self.declared = None
        self.feed(markup)
        self.close()
        assert self.at is self.root, f"<{self.at.name}> is never closed"

    def handle_decl(self, decl):
        self.declared = decl

    def handle_starttag(self, name, attributes):
        assert len(dict(attributes)) == len(attributes), f"an attribute twice in <{name}>"
        element = Element(name, dict(attributes), self.at)
        self.at.inside.append(element)
        self.at.words.append(element)
        if name not in EMPTY:
            self.at = element

    def handle_endtag(self, name):
        assert self.at.name == name, f"</{name}> closes <{self.at.name}>"
        self.at = self.at.parent

    def handle_data(self, data):
        self.at.words.append(data)

    def all(self, name):
        return list(self.root.all(name))

    def section(self, name):
        (found,) = [s for s in self.all("section") if s.attributes["id"] == name]
        return found

    def tables(self):
        """{label: rows of texts} without the head."""
        return {
            t.attributes["aria-label"]: [
                [c.text for c in row.inside] for body in t.all("tbody") for row in body.all("tr")
            ]
            for t in self.all("table")
        }
