"""``findna tasks report``: the HTML page of a task, of what its folder holds."""

import json
import shutil
import sys

import numpy as np
import pytest

from findna.labelled.sets import LabelledSet
from findna.model.folders import to_json
from findna.outputs.pages import from_markdown
from findna.tasks.detail import region_detail, site_detail
from findna.tasks.site_training import Measured
from findna.tasks.task import SHIPPED
from tests.pages import Page


@pytest.mark.slow
def test_a_shipped_task_of_windows(run, tmp_path):
    path = tmp_path / "promoter.html"
    done = run("tasks", "report", "promoter", "-o", path)
    assert done.stderr == f"findna: promoter -> {path}\n"
    page = Page(path)
    assert list(page.sections)[1:] == [
        *("promoter", "Data", "Figures", "Letters of the strongest windows, test set"),
        *("Confusion matrix, test set", "Calibration", "What it is not for"),
    ]
    assert page.pictures == ["Metrics on the test set", "ROC, test set",
                             "Precision and recall, test set", "Letters, promoter",
                             "Reliability, test set"]  # fmt: skip
    assert ["AUROC", "0.956", "0.940 (0.916-0.962)"] in page.tables[0]
    assert "exists; --force" in run("tasks", "report", "promoter", "-o", path, code=1).stderr
    before = path.read_bytes()
    run("tasks", "report", "promoter", "-o", path, "--force")
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_shipped_task_of_sites(run, tmp_path):
    run("tasks", "report", "splice", "-o", tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert page.pictures == ["Task and baselines, test set", "ROC, test set",
                             "Precision and recall, test set", "Reliability, test set",
                             "Letters, acceptor", "Letters, donor"]  # fmt: skip
    record = json.loads((SHIPPED / "splice" / "task.json").read_text())
    matrix = record["metrics"]["test"]["donor"]["baselines"]["position weight matrix"].values()
    told = ["test", "donor", "position weight matrix", *(f"{value:.3f}" for value in matrix)]
    assert told in page.tables[1]


def test_tables_alone_without_matplotlib(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run("tasks", "report", "promoter", "-o", tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert not page.pictures
    assert len(page.tables) == 3
    assert (
        "Tables only: a report with pictures needs matplotlib: pip install 'findna[plot]'."
        in (page.sections["promoter"])
    )


@pytest.mark.parametrize("task", sorted(path.name for path in SHIPPED.iterdir()))
def test_cards_of_shipped_tasks_are_theirs(task):
    folder = SHIPPED / task
    digest = json.loads((folder / "task.json").read_text())["digest"]
    card = (folder / "README.md").read_text()
    assert card.startswith(f"# {task}\n")
    assert f"--task {task}" in card
    assert digest in card
    if (folder / "encoder").exists():
        assert (
            (folder / "encoder" / "README.md")
            .read_text()
            .startswith(f"# Encoder of the task {task}\n")
        )


@pytest.mark.parametrize("task", sorted(path.name for path in SHIPPED.iterdir()))
def test_every_task_that_ships_has_a_report(run, tmp_path, monkeypatch, task):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    run("tasks", "report", task, "-o", tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    record = json.loads((SHIPPED / task / "task.json").read_text())
    assert {"curves", "motifs"} <= set(record["detail"])
    assert ("Confusion matrix, test set" in page.sections) == ("confusion" in record["detail"])
    assert "curves are not stored" not in page.sections["Figures"]


def test_a_task_older_than_curves(run, tmp_path):
    folder = shutil.copytree(SHIPPED / "promoter", tmp_path / "old")
    record = json.loads((folder / "task.json").read_text())
    del record["detail"]
    (folder / "task.json").write_text(json.dumps(record))
    run("tasks", "report", folder, "-o", tmp_path / "r.html")
    page = Page(tmp_path / "r.html")
    assert page.pictures == ["Metrics on the test set", "Reliability, test set"]
    assert "curves are not stored" in page.sections["Figures"]
    assert not any(heading.startswith("Letters") for heading in page.sections)


def test_a_task_without_figures(run, tasks, tmp_path):
    run("tasks", "report", tasks["binary"], "-o", tmp_path / "r.html")
    assert not Page(tmp_path / "r.html").pictures


def test_reports_that_cannot_be_made(run, tasks, tmp_path):
    error = run("tasks", "report", "promoter", "-o", tmp_path / "r.pdf", code=2).stderr
    assert error == f"findna: {tmp_path / 'r.pdf'}: name a .html file\n"
    folder = shutil.copytree(tasks["binary"], tmp_path / "odd")
    record = json.loads((folder / "task.json").read_text()) | {"metrics": {"test": [3]}}
    (folder / "task.json").write_text(json.dumps(record))
    error = run("tasks", "report", folder, "-o", tmp_path / "r.html", code=1).stderr
    assert "its figures are not as this findna writes them" in error
    assert not (tmp_path / "r.html").exists()


def test_nothing_in_a_card_is_markup(run, tasks, tmp_path):
    folder = shutil.copytree(tasks["binary"], tmp_path / "odd")
    (folder / "README.md").write_text('# <script>x</script>\n\n<img src="http://a.b/c">\n')
    run("tasks", "report", folder, "-o", tmp_path / "r.html")
    assert "<script>x</script>" in Page(tmp_path / "r.html").sections


def test_markdown_of_reports():
    text = "# A `b`\nc \\*  \nd\n- e\n- f < g\n\n| h | i |\n|---|---|\n| j |  |\n| -1 | .5 ± 2 |\n"
    assert from_markdown(text) == (
        "<h1>A <code>b</code></h1>\n<p>c *  <br>\nd</p>\n<ul><li>e</li><li>f &lt; g</li></ul>\n"
        "<div class='table'><table>\n<tr><th>h</th><th class=\"number\">i</th></tr>\n"
        '<tr><td>j</td><td class="number"></td></tr>\n'
        '<tr><td>-1</td><td class="number">.5 ± 2</td></tr>\n</table></div>'
    )


def test_figures_of_contigs():
    labels = np.array([0, 1, 1, 0, 1, 1])
    likely = np.array([0.1, 0.9, 0.4, 0.2, 0.8, 0.7])
    empty = [np.empty(0, np.uint8)] * 6
    data = LabelledSet("a", "classes", ("0", "1"), empty, labels, list("ccccdd"))
    found = region_detail(data, ("no", "yes"), np.stack([1 - likely, likely], 1))
    assert found["confusion"] == [[2, 0], [1, 3]]
    assert list(found["curves"]) == ["yes"]
    assert list(found["contigs"]) == ["c", "d"]
    assert found["contigs"]["c"]["accuracy"] == 0.75
    assert found["contigs"]["d"]["auroc"] is None
    seen = Measured(
        np.array([[True], [False], [True], [False], [False]]),
        np.array([[3.0], [1], [0], [-2], [1]], np.float32),
        [("c", 2), ("d", 1), ("c", 2)],
    )
    found = site_detail(seen, ("start",), (1.0,), (0.0,))
    assert found["curves"]["start"]["true"] == [1, 1, 2, 2]
    assert found["contigs"] == {
        "c": {"bases": 4, "classes": {"start": {"sites": 1, "auprc": 1.0, "auroc": 1.0}}},
        "d": {"bases": 1, "classes": {"start": {"sites": 1, "auprc": None, "auroc": None}}},
    }


def test_numbers_of_a_list_are_one_line_and_nothing_else_changes():
    values = {"a": [1, -2.5, 1e-7], "b": [[1, 2], []], "c": "[\n  1,\n  2\n]", "d": ["[1,  2]"]}
    text = to_json(values)
    assert json.loads(text) == values
    assert '"a": [1, -2.5, 1e-07],' in text
