"""The common frame of reports: one self-contained HTML file with style and script."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from gatlabel.report.markup import text


def document(
    title: str, data: str, headline: str, sections: Mapping[str, str], style: str = ""
) -> str:
    """Returns a whole page as HTML.

    Args:
        title: The page's title, plain text.
        data: Text above the title, plain text.
        headline: HTML below the title.
        sections: HTML by the name in the navigation, in order; empty sections are omitted. A
            section's id is its name in lower case.
        style: CSS in addition to the common style.
    """
    shown = {name: body for name, body in sections.items() if body}
    links = "".join(f'<a href="#{name.lower()}">{name}</a>' for name in shown)
    # With this policy the browser enforces that nothing is fetched.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>
{_asset("report.css")}{style}</style>
</head>
<body>
<header>
<p class="data">{text(data)}</p>
<h1>{text(title)}</h1>
{headline}
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{"".join(shown.values())}</main>
<script>
{_asset("report.js")}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return (resources.files("gatlabel.report") / "assets" / name).read_text(encoding="utf-8")
