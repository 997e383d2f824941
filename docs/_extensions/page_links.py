"""Links to pages and files that work here and on a code host.

`` `Errors <../reference/errors.rst>`__ `` is a link to a file for a code host. In the built site it leads to the page.
A link to another file, such as `` `flask_app.py <flask_app.py>`__ ``, downloads it. A build fails if there is no such
file.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class PageLinks(SphinxTransform):
    """Replace a link to a source file with a reference to its page, or with a download."""

    default_priority = 100

    def apply(self) -> None:
        for link in list(self.document.findall(nodes.reference)):
            target = urlsplit(link.get("refuri", ""))
            if target.scheme or not target.path:
                continue
            if target.path.endswith(".rst"):
                link.replace_self(self._page(link, target.path))
            else:
                text = nodes.literal("", link.astext(), classes=["xref", "download"])
                link.replace_self(download_reference("", "", text, reftarget=target.path))

    def _page(self, link: nodes.reference, path: str) -> pending_xref:
        text = nodes.inline("", link.astext(), classes=["doc"])
        return pending_xref(
            "",
            text,
            refdomain="std",
            reftype="doc",
            reftarget=path.removesuffix(".rst"),
            refdoc=self.env.docname,
            refexplicit=True,
            refwarn=True,
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(PageLinks)
    return {"parallel_read_safe": True}
