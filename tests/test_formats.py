"""What findings look like as text, as JSON and as annotations of GitHub Actions; SARIF has a file of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence

from building import Builder

from gradviz.diagnose import Finding, Findings, Severity, diagnose
from gradviz.diagnose.formats import FORMATS, as_github, as_json, as_text
from gradviz.events import Error, Gradient
from gradviz.graphs import Graph


def starved(name: str = "net.a") -> Builder:
    """An optimizer owns `net.a`, which is detached at line 20, `c`, and `d`, which nothing uses."""
    b = Builder("train.py")
    a, c, d = (b.leaf(leaf, (3,), requires_grad=True, line=1, op="Parameter") for leaf in (name, "c", "d"))
    owner = b.optimizer(a, c, d, line=3)
    loss = b.op("mean", b.op("mul", c, b.detach(a, line=20), line=30), name="loss", shape=(), line=50)
    b.sweep(loss, line=90, gradients=[Gradient(c, 1.0)])
    b.act("step", optimizer=owner)
    return b


def some(*findings: Finding, graph: Graph | None = None) -> Findings:
    return Findings(findings, graph or starved().graph())


CHANGED = Finding("GV301", "inplace_saved", Severity.ERROR, "`w` was changed", "use `w = w + 1`",
                  "train.py", 14, 14, 5, 11, "    w += 1")  # fmt: skip


def test_text_has_the_line_and_carets() -> None:
    assert as_text(some(CHANGED)) == (
        "error[GV301]: `w` was changed\n"
        "  --> train.py:14:5\n"
        "   |\n"
        "14 |     w += 1\n"
        "   |     ^^^^^^\n"
        "   = help: use `w = w + 1`\n"
        "\n"
        "1 error\n"
    )


def test_text_stays_on_its_lines_whatever_a_name_is() -> None:
    found = diagnose(starved("</script>\n\x1b[31m[bold]" + "x" * 10_000).graph())
    text = as_text(found)
    assert found.errors
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) < 3000
    assert json.loads(as_json(found))["summary"]["errors"] == 1


def test_text_says_why_there_may_be_no_findings() -> None:
    """Nothing found in a program that never ran backward, or that raised, is not the same as all is well."""
    assert as_text(some()) == "no findings\n"
    assert as_text(some(graph=Builder().graph())).startswith("no findings (no backward ran")
    b = starved()
    site = b.site(7)
    raised = Graph.build([*b.events()[:-1], Error("ValueError", "x", site)])
    assert as_text(some(graph=raised)) == "no findings (the program raised ValueError at train.py:7)\n"
    assert as_text(some(CHANGED, graph=raised)).endswith("\n1 error\n"), "the finding explains it"


def test_json_has_its_fields() -> None:
    told = json.loads(as_json(diagnose(starved().graph())))
    assert list(told) == ["findings", "summary"]
    assert told["summary"] == {"errors": 1, "warnings": 1, "notes": 0}
    fields = ["code", "kind", "severity", "path", "line", "end_line", "column", "names", "related", "message", "help"]
    assert [list(finding) for finding in told["findings"]] == [fields] * 2
    first = told["findings"][0]
    assert (first["kind"], first["names"], first["path"], first["line"]) == ("detach", ["net.a"], "train.py", 20)
    assert [list(other) for other in first["related"]] == [["path", "line", "text"]] * len(first["related"])


def test_github_has_a_command_a_finding() -> None:
    lines = as_github(diagnose(starved().graph())).splitlines()
    where = "file=train.py,line=20,endLine=20,col=1,endColumn=11,title=GV101"
    assert lines[0].startswith(f"::error {where}::`net.a` is in the optimizer")
    assert lines[1].startswith("::warning file=train.py,line=1,")


def test_github_commands_are_one_line_and_parse_back() -> None:
    finding = Finding("GV101", "detach", Severity.NOTE, "100%\nof `a:b`", "", "a,b:c.py", 3)
    assert as_github(some(finding)) == "::notice file=a%2Cb%3Ac.py,line=3,title=GV101::100%25%0Aof `a:b`\n"


def test_github_gives_no_columns_of_several_lines() -> None:
    finding = Finding("GV101", "detach", Severity.ERROR, "m", "", "a.py", 3, 5, 7, 2)
    assert as_github(some(finding)).startswith("::error file=a.py,line=3,endLine=5,title=GV101::")


def test_every_format_says_the_same_twice_and_ends_its_last_line() -> None:
    for write in FORMATS.values():
        text = write(diagnose(starved().graph()))
        assert text == write(diagnose(starved().graph()))
        assert text.endswith("\n")


def test_findings_are_a_sequence_that_prints_as_the_report() -> None:
    found: Sequence[Finding] = diagnose(starved().graph())
    assert isinstance(found, Findings)
    assert [finding.code for finding in found] == ["GV101", "GV401"]
    assert (found.errors, found.warnings, found.notes) == ((found[0],), (found[1],), ())
    assert f"{found}\n" == as_text(found)
    assert repr(found) == "<Findings: 1 error, 1 warning>"
