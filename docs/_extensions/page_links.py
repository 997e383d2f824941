"""Links from page to page that work here and on a code host.

`` `Errors <../reference/errors.rst>`__ `` is a link to a file for a code host. In the built site it leads to the page,
and a build fails if there is no such page.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class PageLinks(SphinxTransform):
    """Replace a link to a source file with a reference to its page."""

    default_priority = 100

    def apply(self) -> None:
        for link in list(self.document.findall(nodes.reference)):
            target = link.get("refuri", "")
            if target.endswith(".rst") and "://" not in target:
                page = pending_xref(
                    refdomain="std",
                    reftype="doc",
                    reftarget=target.removesuffix(".rst"),
                    refdoc=self.env.docname,
                    refexplicit=True,
                    refwarn=True,
                )
                page += nodes.inline("", link.astext(), classes=["doc"])
                link.replace_self(page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(PageLinks)
    return {"parallel_read_safe": True}
