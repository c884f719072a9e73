"""The benchmarks: what they work out, and that they run, small, from one end to the other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.contestants import CONTESTANTS
from benchmarks.contestants.ours import filters
from benchmarks.figures import FIGURES, Spread, number_text, ratio, spread_of, spread_text
from benchmarks.machine import file_system_of
from benchmarks.measuring.delivery import delivery_figures
from benchmarks.options import Options, options_from
from benchmarks.plots import curves_of, draw, path_of
from benchmarks.procfs import Cpu, cpu_in_stat, megabytes_in_status
from benchmarks.reference import REFERENCES, Reference, estimated_old
from benchmarks.report import Machine, Measurement, Report, read_report, write_report
from benchmarks.rows import KEYS, OURS, ROWS, work_text
from benchmarks.running import points_of, steps_of, told, turned
from benchmarks.scales import FULL, QUICK, TINY
from benchmarks.subscribers import Received
from benchmarks.sweeps import SWEEPS
from benchmarks.table import HEAD, Line, as_rst, as_text, lines_of, notes_of
from benchmarks.targets import TARGETS, Base, Target, Verdict, target_text, verdict
from benchmarks.works import Delivery, Lines, Requests, Start, Stuck
from loki_twisted.model.filters import mask_of_types

CHECKOUT = Path(__file__).parent.parent
SECONDS = 300

MACHINE = Machine(
    made_at="2026-11-26T00:00:00+00:00",
    system="Linux 6",
    processor="a processor",
    cores=2,
    memory_mb=8_000,
    disk="ext4",
    sync_ms=0.25,
    versions={"Python": "3.11"},
)


def measured(row: str, contestant: str, *, at: int | None = None, **figures: float) -> Measurement:
    """A measurement that gave some figures, or had trouble."""
    return Measurement(
        row=row,
        contestant=contestant,
        repetition=0,
        work="some work",
        figures=figures,
        trouble=None if figures else "it broke",
        at=at,
    )


def report(*measurements: Measurement, **left_out: str) -> Report:
    """A run with these."""
    return Report(
        machine=MACHINE,
        scale="full",
        repeat=3,
        left_out=left_out,
        measurements=list(measurements),
    )


def cells(line: Line) -> dict[str, str]:
    """A line of the table by its head."""
    return dict(zip(HEAD, line.cells, strict=True))


def options(*arguments: str) -> Options:
    """What a command line means."""
    return options_from(arguments)


# Figures


def test_a_spread_is_the_median_and_the_ends() -> None:
    """One repetition that was disturbed moves an end and not the middle."""
    assert spread_of([3.0, 100.0, 2.0]) == Spread(median=3.0, least=2.0, most=100.0)
    assert spread_of([]) is None


def test_a_ratio_needs_both_sides() -> None:
    """What was not measured, and nothing, are no base of a ratio."""
    assert ratio(3, 2) == 1.5
    assert ratio(None, 2) is None
    assert ratio(3, None) is None
    assert ratio(3, 0) is None


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, ""), (0.123, "0.12"), (12.34, "12.3"), (99.96, "100.0"), (2_538_741, "2,538,741")],
)
def test_numbers_have_the_digits_that_mean_something(number: float | None, text: str) -> None:
    """Large figures are whole, small ones have three digits or so, absent ones are empty."""
    assert number_text(number) == text


def test_a_spread_is_written_with_its_ends_where_they_differ() -> None:
    """The reader sees how much repetitions differed."""
    assert spread_text(Spread(3, 2, 100)) == "3.00 (2.00 to 100)"
    assert spread_text(Spread(3, 3, 3)) == "3.00"
    assert spread_text(None) == ""


def test_figures_of_a_delivery_are_worked_out_from_what_was_received() -> None:
    """The rate counts from the first print, the cost is the server's, the share the program's."""
    received = Received(
        wanted=1_000,
        delivered=1_000,
        least=10,
        gaps=0,
        disorder=0,
        closed=0,
        bytes=1,
        seconds=0.5,
        seconds_since_request=2.0,
        p50_ms=1.0,
        p99_ms=2.0,
        longest_ms=3.0,
        cpu_seconds=0.3,
        wall_seconds=0.6,
    )
    assert delivery_figures(received, Cpu(user=0.01, system=0.03), 50.0) == {
        "rate": 2_000,
        "p50_ms": 1.0,
        "p99_ms": 2.0,
        "cpu": 0.04,
        "cpu_user": 0.01,
        "cpu_system": 0.03,
        "cpu_us": 40,
        "peak_mb": 50.0,
        "generator": 50,
    }


# The old server and the targets


def test_the_old_server_is_estimated_by_the_first_yardstick_there_is() -> None:
    """It is to nchan here as it was there, or to the next best that was measured."""
    reference = Reference(200, {"nchan": 100, "starlette": 50})
    assert estimated_old(reference, {"nchan": 10, "starlette": 1}) == 20
    assert estimated_old(reference, {"starlette": 1}) == 4
    assert estimated_old(reference, {"ours": 10}) is None
    assert estimated_old(None, {"nchan": 10}) is None


def test_a_target_is_met_from_below_or_from_above_as_is_better() -> None:
    """More deliveries are better, more milliseconds are worse, and the limit itself is enough."""
    rate, late = Target(10, Base.OLD), Target(1.5, Base.NCHAN)
    assert verdict("rate", rate, 100, {Base.OLD: 10}) is Verdict.MET
    assert verdict("rate", rate, 99, {Base.OLD: 10}) is Verdict.MISSED
    assert verdict("p99_ms", late, 15, {Base.NCHAN: 10}) is Verdict.MET
    assert verdict("p99_ms", late, 16, {Base.NCHAN: 10}) is Verdict.MISSED
    assert verdict("each_kb", Target(10), 9, {}) is Verdict.MET


def test_a_target_without_its_base_is_neither_met_nor_missed() -> None:
    """A run without nchan says that it does not know."""
    assert verdict("p99_ms", Target(1.5, Base.NCHAN), 15, {}) is Verdict.UNKNOWN
    assert verdict("each_kb", Target(10), None, {}) is Verdict.UNKNOWN


def test_targets_are_written_with_their_direction_and_base() -> None:
    """A reader sees what is wanted without looking into the source."""
    assert target_text("rate", Target(10, Base.OLD)) == ">= 10 x old"
    assert target_text("peak_mb", Target(120)) == "<= 120"
    assert target_text("rate", None) == ""


def test_targets_and_references_are_of_figures_that_are_shown() -> None:
    """No target is written down where no line of the table shows it."""
    shown = {(row.key, figure) for row in ROWS.values() for figure in row.figures}
    assert set(TARGETS) <= shown
    assert set(REFERENCES) <= shown
    assert {figure for _, figure in shown} <= set(FIGURES)
    assert {key for each in REFERENCES.values() for key in each.yardsticks} <= set(KEYS)


# The table


def test_a_line_has_all_contestants_ratios_and_the_verdict() -> None:
    """Ours stands beside nchan and beside what the old server would do."""
    run = report(
        measured("flood-100", "ours", rate=2_400_000.0),
        measured("flood-100", "nchan", rate=276_000.0),
        measured("flood-100", "bare", rate=8_000_000.0),
        starlette="uvicorn is not installed",
    )
    line = lines_of(run)[0]
    assert line.verdict is Verdict.MET
    assert cells(line) == {
        "work": "flood, many readers: some work",
        "figure": "deliveries/s",
        "ours": "2,400,000",
        "nchan": "276,000",
        "sse-starlette": "-",
        "bare sender": "8,000,000",
        "ours / nchan": "8.70",
        "old (est.)": "236,000",
        "ours / old": "10.2",
        "target": ">= 10 x old",
        "met": "yes",
    }


def test_a_contestant_that_failed_is_not_one_that_was_left_out() -> None:
    """What was tried and gave nothing is said to have failed, with the reason below."""
    run = report(measured("live", "ours", answers=9_000.0), measured("live", "nchan"))
    assert cells(lines_of(run)[0])["nchan"] == "failed"
    assert "live, nchan, repetition 1: it broke." in notes_of(run)


def test_a_busy_load_generator_is_marked() -> None:
    """Where the generator had no time left, it may be what was measured."""
    run = report(measured("flood-1", "ours", generator=91.0, rate=1.0))
    by_figure = {cells(line)["figure"]: cells(line)["ours"] for line in lines_of(run)}
    assert by_figure["load generator busy, %"] == "91.0 (!)"


def test_notes_compare_the_generator_with_the_fastest_contestant() -> None:
    """That the generator is not the bottleneck is a figure of the same run."""
    run = report(
        measured("generator-100", "bare", rate=8_000_000.0, generator=40.0),
        measured("flood-100", "ours", rate=2_000_000.0),
        measured("flood-100", "bare", rate=8_000_000.0),
    )
    [note] = [each for each in notes_of(run) if "load generator" in each]
    assert note.endswith("busy for 40 % of the time: 4.0 times the most of any contestant.")


def test_what_is_missing_is_said() -> None:
    """A reader of the table knows why a column is empty."""
    notes = notes_of(report(nchan="nginx is not installed"))
    assert "nchan: left out, nginx is not installed." in notes


def test_the_table_is_written_in_columns() -> None:
    """On a terminal the figures of one contestant stand below each other."""
    run = report(measured("idle", "ours", each_kb=9.5), measured("idle", "nchan", each_kb=10.5))
    head, line, *_ = as_text(run).splitlines()
    assert line[head.index("nchan") :].startswith("10.5")


def test_every_line_for_the_documentation_has_all_cells() -> None:
    """A list table whose rows differ in length would break the build of the documentation."""
    run = report(measured("idle", "ours", each_kb=9.5), measured("live", "ours", answers=1.0))
    rows = as_rst(run).split("\n   * -")[1:]
    assert [row.count("\n     -") for row in rows] == [len(HEAD) - 1] * (1 + len(lines_of(run)))


def test_nothing_in_the_table_is_markup() -> None:
    """What a server said when it failed is text, whatever is in it."""
    run = report(
        Measurement(
            row="idle",
            contestant="ours",
            repetition=0,
            work="some work",
            figures={},
            trouble="`a*b|c_ \\",
        )
    )
    assert r"\`a\*b\|c\_ \\" in as_rst(run)


# What is done


def test_a_smaller_scale_does_less_of_the_same() -> None:
    """Rates and filters that can be stay; counts shrink, and never to nothing."""
    work = Delivery(Lines(1_000, 100), 1_000, filters=1_000)
    assert FULL.apply(work) == work
    assert QUICK.apply(work) == Delivery(Lines(100, 100), 1_000, filters=1_000)
    assert TINY.apply(work) == Delivery(Lines(20, 100), 20, filters=20)
    assert TINY.apply(Delivery(Lines(5), 1)) == Delivery(Lines(5), 1)
    assert QUICK.apply(Requests(16, 5)) == Requests(16, 0.5)
    assert TINY.apply(Start(1_000_000)) == Start(2_000)


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.key)
def test_every_row_says_how_much_is_done(row: object) -> None:
    """The words come from the numbers, so a smaller run does not claim to be a full one."""
    assert isinstance(row, type(ROWS["idle"]))
    assert work_text(row.work) != work_text(TINY.apply(row.work))


def test_works_are_said_in_words() -> None:
    """Counts, rates and sizes, as they stand in the table."""
    assert work_text(Delivery(Lines(5_000), 100)) == "5,000 lines to 100"
    assert work_text(Delivery(Lines(1_000, 100), 10, 3)) == "100/s for 10 s to 10, 3 filters"
    stuck = Stuck(Lines(10_000, 1_000, 2_000), 50, 40)
    assert work_text(stuck) == "1000/s for 10 s (20 MB) to 50 beside 40"


def test_contestants_alternate_and_take_turns_to_begin() -> None:
    """What changes on the machine in the meantime meets all of them."""
    steps = steps_of(options("--rows", "live", "--repeat", "2"), ["ours", "nchan"])
    assert [step.contestant for step in steps] == ["ours", "nchan", "nchan", "ours"]
    assert turned([], 3) == []


def test_only_those_who_can_take_part_in_a_row() -> None:
    """A contestant without a log is not asked for its replay."""
    steps = steps_of(options("--rows", "replay", "--repeat", "1"), ["ours", "nchan", "starlette"])
    assert {step.contestant for step in steps} == {"ours"}


def test_the_generator_is_measured_with_every_run_that_has_the_sender() -> None:
    """No table is made without the proof that the generator is fast enough."""
    steps = list(steps_of(options("--rows", "live", "--repeat", "1"), ["ours", "bare"]))
    assert [step.row for step in steps][:2] == ["generator-100", "generator-1"]


def test_points_that_a_smaller_scale_makes_equal_are_measured_once() -> None:
    """A tiny run does not do the same thing four times."""
    sweep = SWEEPS["log"]
    assert list(points_of(sweep, FULL)) == list(sweep.works)
    assert list(points_of(sweep, TINY)) == [1_000, 100_000, 1_000_000]


@pytest.mark.parametrize(
    "arguments",
    [["--rows", "flod"], ["--contestants", "ours,me"], ["--repeat", "0"], ["--scale", "huge"]],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A row that is not there is not silently left out."""
    with pytest.raises(SystemExit):
        options(*arguments)
    assert arguments[1].split(",")[-1] in capsys.readouterr().err or arguments[0] == "--repeat"


def test_a_small_run_measures_once() -> None:
    """Three repetitions are for figures that are kept."""
    assert options().repeat == 3
    assert options("--quick").repeat == 1
    assert options("--quick").scale is QUICK
    assert options("--quick", "--repeat", "2").repeat == 2


def test_filters_differ_and_want_all_lines_and_nothing_else() -> None:
    """A thousand filters are a thousand, and every subscriber is to see every line."""
    masks = {mask_of_types(each.split(",")) for each in filters(1_000)}
    assert len(masks) == 1_000
    assert all(mask & mask_of_types(["log:info"]) for mask in masks)
    assert not any(mask & mask_of_types(["session:*", "phase:*"]) for mask in masks)
    with pytest.raises(ValueError, match="no 3000 filters"):
        filters(3_000)


# The machine


def test_processor_time_is_read_past_any_name() -> None:
    """The name of a process may look like the rest of its line."""
    fields = " ".join(["S", "1", "1", "1", "0", "-1", "0", "0", "0", "0", "0", "250", "50", "7"])
    assert cpu_in_stat(f"12 (a) S 9 (b) {fields}") == Cpu(user=2.5, system=0.5)
    assert Cpu(3, 2) - Cpu(1, 1) == Cpu(2, 1)
    assert Cpu(3, 2).total == 5


def test_memory_is_read_in_millions_of_bytes() -> None:
    """A kB of the kernel's is 1,024 bytes."""
    status = "Name:\tx\nVmHWM:\t  1000 kB\nVmRSS:\t   500 kB\n"
    assert megabytes_in_status(status, "VmHWM") == 1.024
    with pytest.raises(ValueError, match="no VmPeak"):
        megabytes_in_status(status, "VmPeak")


def test_the_file_system_is_that_of_the_nearest_mount() -> None:
    """A log in memory syncs in no time, and must not be taken for one on a disk."""
    mounts = "/dev/a / ext4 rw 0 0\ntmpfs /fast tmpfs rw 0 0\n/dev/b /fast/disk xfs rw 0 0\n"
    assert file_system_of(Path("/somewhere"), mounts) == "ext4"
    assert file_system_of(Path("/fast/x"), mounts) == "tmpfs"
    assert file_system_of(Path("/fast/disk/x"), mounts) == "xfs"
    assert file_system_of(Path("/faster"), mounts) == "ext4"


# Results and plots


def test_results_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    """The table can be printed again from the file."""
    run = report(measured("idle", "ours", each_kb=9.5), measured("idle", "nchan"), bare="a reason")
    write_report(tmp_path / "run.json", run)
    assert read_report(tmp_path / "run.json") == run


def test_what_was_measured_is_told_while_it_goes_on() -> None:
    """Whoever waits sees figures or trouble at once."""
    assert told(measured("idle", "ours", each_kb=9.5)) == "idle (some work), ours: each_kb 9.5"
    assert told(measured("idle", "ours")) == "idle (some work), ours: no figures: it broke"


SWEPT = report(
    measured("rate", "ours", at=10, cpu_us=3.0, p99_ms=1.0),
    measured("rate", "ours", at=10, cpu_us=5.0, p99_ms=1.0),
    measured("rate", "ours", at=30, cpu_us=2.0, p99_ms=1.5),
    measured("rate", "nchan", at=10),
)


def test_curves_are_of_those_who_have_figures() -> None:
    """A contestant that failed at all points has no curve; repetitions make one point."""
    [curve] = curves_of(SWEPT, SWEEPS["rate"], "cpu_us")
    assert curve.contestant == OURS
    assert curve.points == [(10, Spread(4.0, 3.0, 5.0)), (30, Spread(2.0, 2.0, 2.0))]


def test_the_same_results_draw_the_same_bytes(tmp_path: Path) -> None:
    """A plot that did not change does not change in the repository."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    paths = [path_of(tmp_path, SWEEPS["rate"]), tmp_path / "again.svg"]
    for path in paths:
        draw(SWEPT, SWEEPS["rate"], path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<svg" in first


# The whole


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks as a user does."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


needs_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")


@needs_compiler
@pytest.mark.timeout(SECONDS + 60)
def test_all_kinds_of_work_are_done_by_ours(tmp_path: Path) -> None:
    """Every kind of row gives every figure that it shows, and all that was printed arrived."""
    rows = "flood-100,filters,idle,ready,replay,live,stuck,stages-500"
    json = tmp_path / "run.json"
    done = benchmark(
        *("--scale", "tiny", "--contestants", "ours", "--rows", rows, "--json", str(json))
    )
    assert done.returncode == 0, done.stderr
    run = read_report(json)
    assert run.troubles() == []
    for row in rows.split(","):
        [only] = run.of(row, OURS)
        assert set(ROWS[row].figures) <= set(only.figures)
    assert done.stdout.startswith("work")


@needs_compiler
@pytest.mark.timeout(SECONDS + 60)
def test_the_others_are_measured_or_said_to_be_missing(tmp_path: Path) -> None:
    """Whoever can be run gives figures; whoever cannot leaves a reason, and the rest goes on."""
    json = tmp_path / "run.json"
    done = benchmark("--scale", "tiny", "--rows", "flood-100,live", "--json", str(json))
    assert done.returncode == 0, done.stderr
    run = read_report(json)
    assert run.troubles() == []
    for key, contestant in CONTESTANTS.items():
        missing = contestant.missing()
        assert run.left_out.get(key) == missing
        for row in ("flood-100", "live"):
            assert len(run.of(row, key)) == (0 if missing else 1)
    assert [run.spread(f"generator-{count}", "bare", "rate") is None for count in (1, 100)] == [
        False,
        False,
    ]


@needs_compiler
@pytest.mark.timeout(SECONDS + 60)
def test_sweeps_are_measured_at_each_point(tmp_path: Path, is_full: bool) -> None:
    """Each number that changes gives one point with the figures that are drawn."""
    json = tmp_path / "run.json"
    sweeps = list(SWEEPS) if is_full else ["filters"]
    arguments = ("--rows", "idle", "--contestants", "ours", "--scale", "tiny")
    done = benchmark(*arguments, "--sweeps", ",".join(sweeps), "--json", str(json))
    assert done.returncode == 0, done.stderr
    run = read_report(json)
    for sweep in map(SWEEPS.__getitem__, sweeps):
        for at in points_of(sweep, TINY):
            [only] = run.of(sweep.key, OURS, at)
            assert set(sweep.figures) <= set(only.figures)


def test_results_are_shown_again_without_measuring(tmp_path: Path) -> None:
    """A table is made from a file, and the exit code says whether ours failed."""
    good, bad, rst = tmp_path / "good.json", tmp_path / "bad.json", tmp_path / "table.rst"
    write_report(good, report(measured("idle", "ours", each_kb=9.5)))
    write_report(bad, report(measured("idle", "ours"), measured("idle", "nchan", each_kb=9.5)))
    done = benchmark("--show", str(good), "--rst", str(rst))
    assert done.returncode == 0, done.stderr
    assert "subscribers with nothing to read" in done.stdout
    assert ".. list-table::" in rst.read_text(encoding="utf-8")
    assert benchmark("--show", str(bad)).returncode == 1
