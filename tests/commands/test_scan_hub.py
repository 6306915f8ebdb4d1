"""``findna scan --hub``: a folder that the UCSC Genome Browser shows."""

import sys

import pytest

pytest.importorskip("pybigtools")

REQUIRED = {"track", "bigDataUrl", "shortLabel", "longLabel", "type"}


def stanzas(hub):
    """The settings of each stanza of hub.txt."""
    text = (hub / "hub.txt").read_text()
    return [
        dict(line.split(" ", 1) for line in part.splitlines())
        for part in text.strip().split("\n\n")
    ]


def tracks(hub):
    """The stanzas of tracks, each checked for what UCSC needs."""
    first, genome, *others = stanzas(hub)
    assert {"hub", "shortLabel", "longLabel", "email"} <= set(first)
    assert first["useOneFile"] == "on"
    assert genome == {"genome": "hg38"}
    for one in others:
        assert set(one) >= REQUIRED
        assert one["track"].isascii()
        assert one["track"].isidentifier()
        assert len(one["shortLabel"]) <= 17
        assert len(one["longLabel"]) <= 76
        assert (hub / one["bigDataUrl"]).read_bytes()[:4] == bytes.fromhex("26fc8f88")
        assert (hub / one["html"]).is_file()
    names = [one["track"] for one in others]
    assert len(set(names)) == len(names)
    expected = {"hub.txt"} | {one[key] for one in others for key in ("bigDataUrl", "html")}
    assert {path.name for path in hub.iterdir()} == expected
    return others


def records(path):
    """Everything that a bigWig file holds."""
    import pybigtools

    with pybigtools.open(str(path)) as file:
        return [(name, *row) for name in file.chroms() for row in file.records(name)]


def test_a_task_of_regions_has_one_track(run, example, tasks, tmp_path):
    words = [
        "scan",
        example / "genome.fa",
        "-t",
        tasks["binary"],
        "--window",
        60,
        "-r",
        "chrA:1-900",
    ]
    done = run(*words, "--hub", tmp_path / "hub", "--assembly", "hg38")
    assert f"-> {tmp_path / 'hub' / 'hub.txt'}" in done.stderr
    (one,) = tracks(tmp_path / "hub")
    assert one["type"] == "bigWig 0 1"
    run(*words, "-o", tmp_path / "x.bw")
    assert records(tmp_path / "hub" / one["bigDataUrl"]) == records(tmp_path / "x.bw")
    page = (tmp_path / "hub" / one["html"]).read_text()
    for said in ("sha256", "Encoder", "Arithmetic", "windows of 60 bp every 10 bp", "genome.fa"):
        assert said in page


def test_values_of_a_regression_have_no_ends(run, example, tasks, tmp_path):
    words = ["scan", example / "genome.fa", "-t", tasks["value"], "-r", "chrA:1-900"]
    words += ["--window", 60, "--class", "rate"]
    run(*words, "--hub", tmp_path / "hub", "--assembly", "hg38")
    (one,) = tracks(tmp_path / "hub")
    assert (one["type"], one["autoScale"]) == ("bigWig", "on")
    assert "viewLimits" not in one


def test_a_task_of_sites_has_each_class_and_strand(run, site_task, example, tmp_path):
    words = ["scan", example / "genome.fa", "-t", site_task, "-r", "chrA:1-2,500"]
    run(*words, "--call", 0.01, "--hub", tmp_path / "hub", "--assembly", "hg38")
    found = tracks(tmp_path / "hub")
    probabilities = [one for one in found if one["track"].startswith("track")]
    labels = [one["shortLabel"].rsplit(" ", 1) for one in probabilities]
    classes = list(dict.fromkeys(name for name, _ in labels))
    assert labels == [[name, strand] for name in classes for strand in "+-"]
    assert len({one["color"] for one in probabilities}) == len(classes)
    for (name, strand), one in zip(labels, probabilities, strict=True):
        run(*words, "--class", name, "--strand", strand, "-f", "-o", tmp_path / "x.bw")
        assert records(tmp_path / "hub" / one["bigDataUrl"]) == records(tmp_path / "x.bw")
    rows = [line.split("\t") for line in run(*words, "--call", 0.01).stdout.splitlines()]
    assert rows
    seen = [
        (chrom, str(start), str(end), str(round(1000 * value)), one["shortLabel"][-1])
        for one in found
        if one["track"].startswith("sites")
        for chrom, start, end, value in records(tmp_path / "hub" / one["bigDataUrl"])
    ]
    assert sorted(seen) == sorted((*row[:3], *row[4:6]) for row in rows)


def test_a_card_cannot_write_html(run, site_task, example, tmp_path):
    import shutil

    task = shutil.copytree(site_task, tmp_path / "t")
    (task / "README.md").write_text("<script>alert(1)</script>")
    words = ["scan", example / "genome.fa", "-t", task, "-r", "chrA:1-500"]
    run(*words, "--hub", tmp_path / "hub", "--assembly", "hg38")
    for one in tracks(tmp_path / "hub"):
        assert "<script" not in (tmp_path / "hub" / one["html"]).read_text()


def test_what_cannot_be_a_hub_is_refused(run, example, tasks, tmp_path, monkeypatch):
    words = ["scan", example / "genome.fa", "-t", tasks["binary"], "--window", 60]
    hub = ["--hub", tmp_path / "hub"]
    assert "--assembly hg38" in run(*words, *hub, code=2).stderr
    assert "--hub FOLDER" in run(*words, "--assembly", "hg38", code=2).stderr
    assert "UCSC's name" in run(*words, *hub, "--assembly", "my genome", code=2).stderr
    for option in (["-o", "x.bw"], ["-O", "bigwig"], ["--header"], ["--write-index"]):
        assert "cannot be combined" in run(*words, *hub, "--assembly", "a1", *option, code=2).stderr
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "mine").touch()
    assert "is not empty" in run(*words, *hub, "--assembly", "hg38", code=1).stderr
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    assert "findna[bigwig]" in run(*words, *hub, "--assembly", "hg38", code=1).stderr


def test_a_failed_hub_leaves_nothing(run, write, tasks, tmp_path):
    genome = write("n.fa", f">chr1\n{'N' * 500}\n")
    words = ["scan", genome, "-t", tasks["binary"], "--window", 60, "--assembly", "hg38"]
    assert "no base has a value" in run(*words, "--hub", tmp_path / "hub", code=1).stderr
    assert not (tmp_path / "hub").exists()


def test_contigs_with_other_names_are_warned_of(run, write, tasks, tmp_path):
    genome = write("g.fa", f">1\n{'ACGTTGCA' * 50}\n")
    words = ["scan", genome, "-t", tasks["binary"], "--window", 60, "--assembly", "hg38"]
    assert "no contig of g.fa begins with chr" in run(*words, "--hub", tmp_path / "hub").stderr
