"""The documentation as a whole: every page is reached, every link leads somewhere, every name is there."""

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import hyperplane

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {path for path in DOCS.rglob("*.md") if "_build" not in path.parts}
CONTEXT = (DOCS / "reference" / "context.md").read_text(encoding="utf-8")


def toctree_entries(page):
    """Return the pages that the toctrees of a page name."""
    fences = [
        token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.type == "fence"
    ]
    lines = [
        line for fence in fences if fence.info.startswith("{toctree}") for line in fence.content.splitlines()
    ]
    return [page.parent / f"{line}.md" for line in lines if line and not line.startswith(":")]


def links(page):
    """Return the relative links of a page."""
    inline = [token for token in MarkdownIt().parse(page.read_text(encoding="utf-8")) if token.children]
    targets = [child.attrGet("href") for token in inline for child in token.children if child.attrGet("href")]
    return [
        target.partition("#")[0] for target in targets if "://" not in target and not target.startswith("#")
    ]


def members_of(kind):
    """Return the public members that a class defines itself."""
    return [name for name in vars(kind) if not name.startswith("_")]


def test_every_page_is_reachable_from_the_first_one():
    """Following the toctrees from the index leads to every page of the documentation."""
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached:
            reached.add(page)
            waiting += toctree_entries(page)

    assert PAGES == reached


@pytest.mark.parametrize(
    "page",
    sorted({ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES}),
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_every_link_of_a_page_leads_to_a_file(page):
    """What a page links to in this repository is there."""
    assert [] == [target for target in links(page) if not (page.parent / target).exists()]


def test_the_reference_documents_every_member_of_the_context():
    """The page on the context has every public member of `JobContext`."""
    documented = re.findall(r"JobContext\.(\w+)$", CONTEXT, re.MULTILINE)

    assert members_of(hyperplane.JobContext) == sorted(
        documented, key=members_of(hyperplane.JobContext).index
    )


def test_the_reference_documents_every_field_of_a_job():
    """The table of `ctx.job` has every field and property of `Job`."""
    table = CONTEXT[CONTEXT.index("### `ctx.job`") : CONTEXT.index("### `ctx.explain()`")]
    fields = [*hyperplane.Job.__dataclass_fields__, "is_main"]

    assert [] == [field for field in fields if f"`{field}`" not in table]


def test_the_reference_documents_every_keyword_of_the_context():
    """The table of keywords has every argument of `JobContext`."""
    keywords = hyperplane.JobContext.__init__.__kwdefaults__

    assert [] == [keyword for keyword in keywords if f"| `{keyword}` |" not in CONTEXT]


def test_every_public_name_is_in_the_reference():
    """Each name that the package exports is on some page of the reference."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))

    assert [] == [name for name in hyperplane.__all__ if not re.search(rf"\b{name}\b", pages)]


def test_the_page_of_benchmarks_names_every_one():
    """Each script in tests/benchmarks is on the page with its command, and no other is."""
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    scripts = [
        path for path in (ROOT / "tests" / "benchmarks").glob("*.py") if "__main__" in path.read_text()
    ]
    named = set(re.findall(r"`python (tests/benchmarks/\w+\.py)", page))

    assert {path.relative_to(ROOT).as_posix() for path in scripts} == named
