"""A library that knows nothing of green threads: the title of a feed."""

import urllib.request
from xml.etree import ElementTree


def title_of(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        title = ElementTree.parse(answer).findtext("channel/title")
    return title or ""
