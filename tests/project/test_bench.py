"""The benchmark's own arithmetic, its refusals, its tables, and one run of the real thing where its tools are."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest
from bench import against
from bench.appends import measure_appends
from bench.changes import measure_changes
from bench.driver import Bench, Contender, answer_of, check_same, in_turn, take_turns
from bench.figures import Slice, cpu, is_noisy, ratio, ratios, spread, throughput
from bench.floods import judged
from bench.gate import Ratios, ratios_of
from bench.goals import GOALS, GOALS_AGAINST, Verdict, was_noisy
from bench.imports import imports_table, modules_in
from bench.in_process import in_files
from bench.list_loop import serving_rows
from bench.nginx import serving_files
from bench.processes import BenchError, Server, family_of, free_port, running
from bench.programs import VIGIE, short_commit
from bench.reads import LIST, list_load
from bench.report import (
    goals_table,
    replaced,
    revisions_table,
    rows_tables,
    skipped_text,
    table,
    tables,
)
from bench.results import Figure, Results, Skipped, read_results, this_machine
from bench.stores import Store, filled_store
from bench.vigie_server import serving_store
from bench.wrk import Load, check_answers, run_slice

from tests.support.paths import ROOT

WRK_SAID = {
    "requests": 1000,
    "bytes": 8_700_000,
    "seconds": 1.0,
    "p50_us": 900,
    "p99_us": 4000,
    "wrong_status": 0,
    "broken": 0,
    "timeouts": 0,
}


def a_slice(
    contender: str, number: int = 1, *, cpu_us: float = 20.0, row: str = "by id", **changes: float
) -> Slice:
    """A slice of a thousand requests in a second."""
    requests = int(changes.get("requests", 1000))
    return Slice(
        row=row,
        contender=contender,
        round=number,
        requests=requests,
        seconds=1.0,
        cpu_seconds=cpu_us * requests / 1e6,
        p50_us=changes.get("p50_us", 900.0),
        p99_us=changes.get("p99_us", 4000.0),
    )


def a_load(**changes: object) -> Load:
    load = Load(target="/api/incidents/1", tokens=Path("tokens.txt"), body_bytes_min=8_000)
    return replace(load, **changes)  # type: ignore[arg-type]


def a_run(
    *, nginx_us: float = 15.0, logged_us: float = 28.0, plain_us: float = 25.0, peer_us: float = 1100.0
) -> Results:
    """A run of the row that the gate looks at: five rounds."""
    costs = {
        "nginx": nginx_us,
        "vigie, request log on": logged_us,
        "vigie": plain_us,
        "fastapi-json": peer_us,
    }
    return Results(a_slice(name, number, cpu_us=us) for number in range(1, 6) for name, us in costs.items())


def a_bench(folder: Path, *, seconds: int = 1) -> Bench:
    """Two rounds, and a store without anything in it."""
    store = Store(folder=folder, incident_count=0)
    return Bench(
        store=store, small_store=store, results=Results(), rounds=2, seconds=seconds, reads=0, imports=0
    )


def wrk_output(**changes: object) -> str:
    return f"Running 1s test\n  1 threads and 32 connections\n{json.dumps(WRK_SAID | changes)}\n"


def wait_until(holds: Callable[[], bool]) -> None:
    """Other processes take their time, but not this much."""
    give_up_at = monotonic() + 20
    while not holds():
        assert monotonic() < give_up_at
        sleep(0.02)


# Figures


def test_a_spread_is_the_middle_and_both_ends() -> None:
    found = spread([3.0, 1.0, 10.0])

    assert (found.median, found.least, found.most) == (3.0, 1.0, 10.0)


def test_cpu_is_that_of_one_request_in_microseconds() -> None:
    assert cpu(a_slice("nginx", cpu_us=17.5)) == pytest.approx(17.5)
    assert throughput(a_slice("nginx", requests=500)) == 500


def test_a_ratio_holds_each_round_against_its_own_round() -> None:
    # The machine was twice as slow in the second round: for both, so it says nothing.
    nginx = [a_slice("nginx", 1, cpu_us=10), a_slice("nginx", 2, cpu_us=20), a_slice("nginx", 3, cpu_us=10)]
    vigie = [a_slice("vigie", 1, cpu_us=30), a_slice("vigie", 2, cpu_us=60), a_slice("vigie", 3, cpu_us=40)]

    assert ratios(vigie, nginx, cpu) == pytest.approx([3.0, 3.0, 4.0])
    assert ratio(vigie, nginx, cpu) == pytest.approx(3.0)


def test_a_round_that_one_of_them_lacks_is_left_out() -> None:
    nginx = [a_slice("nginx", 2, cpu_us=10)]
    vigie = [a_slice("vigie", 1, cpu_us=90), a_slice("vigie", 2, cpu_us=20)]

    assert ratios(vigie, nginx, cpu) == pytest.approx([2.0])
    assert ratio(vigie, [], cpu) is None


@pytest.mark.parametrize(("most", "noisy"), [(12.5, False), (12.6, True)])
def test_a_run_is_noisy_when_the_references_cpu_varies_by_more_than_a_quarter(
    most: float, noisy: bool
) -> None:
    reference = [a_slice("nginx", 1, cpu_us=10.0), a_slice("nginx", 2, cpu_us=most)]

    assert is_noisy(reference) is noisy


@pytest.mark.parametrize(("fewest", "noisy"), [(1000, False), (999, True)])
def test_a_run_is_noisy_when_the_reference_is_kept_from_its_core(fewest: int, noisy: bool) -> None:
    reference = [a_slice("nginx", 1, requests=1500), a_slice("nginx", 2, requests=fewest)]

    assert is_noisy(reference) is noisy


# Turns


def test_each_round_begins_with_another_contender() -> None:
    server = Server(name="any", pid=1, url="http://127.0.0.1:1")
    contenders = [Contender(name=name, server=server, load=a_load()) for name in "abc"]

    orders = ["".join(each.name for each in in_turn(contenders, number)) for number in range(1, 5)]

    assert orders == ["abc", "bca", "cab", "abc"]


@pytest.mark.parametrize(("is_warm", "rounds"), [(False, [0, 1, 2]), (True, [1, 2])])
def test_the_round_before_the_first_is_thrown_away(is_warm: bool, rounds: list[int], tmp_path: Path) -> None:
    turns_taken: list[int] = []
    bench = a_bench(tmp_path)

    def turn(number: int) -> Slice:
        turns_taken.append(number)
        return a_slice("vigie", number)

    take_turns(bench, "start", {"vigie": turn}, is_warm=is_warm)

    assert turns_taken == rounds
    assert [each.round for each in bench.results.slices] == [1, 2]


# Refusing answers


def test_whole_good_answers_are_taken_as_they_are() -> None:
    assert check_answers(wrk_output(), a_load(), where="by id, vigie") == WRK_SAID


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"wrong_status": 3}, "3 of 1000 answers: wrong_status"),
        ({"broken": 1}, "1 of 1000 answers: broken"),
        ({"timeouts": 2}, "2 of 1000 answers: timeouts"),
        ({"requests": 0}, "no answers at all"),
        ({"bytes": 7_999_000}, "answers of 7999 bytes, where 8000 are due"),
    ],
)
def test_wrong_and_short_answers_stop_the_run(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(BenchError, match=f"by id, vigie: {reason}"):
        check_answers(wrk_output(**changes), a_load(), where="by id, vigie")


def test_a_generator_that_says_nothing_stops_the_run() -> None:
    with pytest.raises(BenchError, match="wrk said nothing"):
        check_answers("unable to connect to 127.0.0.1:1\n", a_load(), where="by id, vigie")


def test_bodies_are_the_same_when_their_json_and_their_length_are() -> None:
    check_same(b'{"a":1,"b":[]}', b'{"b":[],"a":1}\n', names=("vigie", "flask"))


@pytest.mark.parametrize(
    ("answered", "reason"),
    [
        (b'{"a":1,"b":[2]}', "does not answer what vigie answers"),
        (b'{"a": 1,"b":[]}', "answers 15 bytes, vigie 14"),
    ],
)
def test_bodies_that_differ_stop_the_run(answered: bytes, reason: str) -> None:
    with pytest.raises(BenchError, match=f"flask {reason}"):
        check_same(b'{"a":1,"b":[]}', answered, names=("vigie", "flask"))


needs_its_tools = pytest.mark.programs("nginx", "wrk", "taskset")


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/sbin")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    (tmp_path / "tokens.txt").write_text("one\ntwo\n", encoding="ascii")
    return tmp_path / "tokens.txt"


def slice_of(server: Server, load: Load) -> Slice:
    return run_slice(server, load, row="by id", contender="nginx", round_number=1, seconds=1)


@needs_its_tools
@pytest.mark.usefixtures("tools")
def test_a_slice_counts_the_answers_and_the_cpu_of_a_real_server(tokens: Path) -> None:
    bodies = {f"/api/incidents/{number}": b"x" * 8_000 for number in (1, 2, 3)}

    with serving_files(bodies) as nginx:
        fixed = slice_of(nginx, a_load(tokens=tokens))
        varied = slice_of(nginx, a_load(tokens=tokens, target="/api/incidents/%d", last=3))

    for each in (fixed, varied):
        assert each.requests > 100
        assert 0.5 < each.seconds < 5
        assert 0 < each.cpu_seconds < 5
        assert 0 < each.p50_us <= each.p99_us


@needs_its_tools
@pytest.mark.usefixtures("tools")
def test_a_real_server_that_has_not_all_or_answers_short_stops_the_run(tokens: Path) -> None:
    with serving_files({"/api/incidents/1": b"x" * 8_000}) as nginx:
        with pytest.raises(BenchError, match="wrong_status"):
            slice_of(nginx, a_load(tokens=tokens, target="/api/incidents/%d", last=3))
        with pytest.raises(BenchError, match="where 20000 are due"):
            slice_of(nginx, a_load(tokens=tokens, body_bytes_min=20_000))


@pytest.mark.programs("taskset", "gcc")
@pytest.mark.timeout(300)
def test_the_c_loop_of_lists_answers_what_vigie_answers() -> None:
    store = filled_store(2_000)

    with serving_store(store) as vigie:
        load = list_load(store, vigie, LIST)
        page = answer_of(vigie, load)
        with serving_rows(store, page) as c_loop:
            pages = [answer_of(c_loop, load) for _ in range(2)]

    assert pages == [page, page]
    assert len(json.loads(page)["value"]) == 100


@needs_its_tools
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("tools")
def test_two_revisions_are_measured_in_one_run() -> None:
    # This revision stands for the older one too: to build one needs packages from the network.
    bench = Bench(
        store=filled_store(2_000),
        small_store=filled_store(0),
        results=Results(),
        rounds=1,
        seconds=1,
        reads=0,
        imports=0,
        older=VIGIE,
    )

    against.updates(bench)
    against.disk(bench)

    updated = [each.contender for each in bench.results.slices if each.row == "updates"]
    assert updated == ["nginx", "older revision", "this revision"]
    sizes = {each.name: each.value for each in bench.results.figures}
    assert 5_000 < sizes["this revision, for an incident of 3 alerts"] < 50_000
    assert 0 < sizes["this revision, of it, the change feed"] < 1_000
    (on_disk,) = [goal for goal in GOALS_AGAINST if "on disk" in goal.path]
    assert on_disk.value(bench.results) == 1.0


def test_changes_are_read_in_turns_from_databases_of_their_own(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, seconds=0)

    with in_files() as databases:
        measure_changes(bench, databases, (1_000, 3_000))

    slices = bench.results.slices
    assert {(each.row, each.contender) for each in slices} == {
        ("change feed", "1,000 changes among 1,000"),
        ("change feed", "1,000 changes among 3,000"),
    }
    assert all(each.requests > 0 and each.cpu_seconds > 0 for each in slices)


def test_alerts_are_added_in_turns_to_incidents_of_both_sizes(tmp_path: Path) -> None:
    bench = a_bench(tmp_path)

    with in_files() as databases:
        measure_appends(bench, databases)

    added = Counter(each.contender for each in bench.results.slices for _ in range(each.requests))
    assert added == {
        "to an incident of 3": 40,
        "to an incident of 150": 40,
        "to an incident of 150 whose answer is absent": 40,
    }


# Goals


def test_a_goal_is_reached_missed_or_not_run() -> None:
    against_nginx = GOALS[0]

    assert against_nginx.verdict(a_run(logged_us=32.9)) is Verdict.REACHED
    assert against_nginx.verdict(a_run(logged_us=33.1)) is Verdict.MISSED
    assert against_nginx.verdict(Results()) is Verdict.NOT_RUN


def test_on_a_noisy_machine_times_are_not_judged_and_cpu_is() -> None:
    results = a_run()
    results.add(a_slice("nginx", 6, cpu_us=40.0))

    verdicts = {goal.path: goal.verdict(results) for goal in GOALS}

    assert verdicts["same, request log on, requests per second against nginx"] is Verdict.UNSURE
    assert verdicts[GOALS[0].path] is Verdict.REACHED


def test_a_run_on_a_machine_that_was_busy_before_is_noisy() -> None:
    machine = this_machine("python -m bench all")
    quiet, busy = (
        Results([msgspec.structs.replace(machine, load_average=load), *a_run().records])
        for load in (1.0, 1.1)
    )

    assert not was_noisy(quiet)
    assert was_noisy(busy)


def test_any_incident_is_judged_only_among_as_many_as_the_goal_says() -> None:
    (goal,) = [goal for goal in GOALS if goal.path.startswith("any of 200,000")]
    slices = [
        a_slice("vigie, one incident", row="ids", cpu_us=20.0),
        a_slice("vigie, any of all incidents", row="ids", cpu_us=29.0),
    ]

    few, enough = (
        Results([*slices, Figure(row="ids", name="incidents in the database", value=count, unit="")])
        for count in (199_999, 200_000)
    )

    assert goal.verdict(few) is Verdict.NOT_RUN
    assert goal.verdict(enough) is Verdict.REACHED
    assert goal.value(enough) == pytest.approx(1.45)


def test_a_revision_is_held_against_the_older_one_round_by_round() -> None:
    results = Results(
        a_slice(name, number, row="lists", cpu_us=us * number)
        for number in (1, 2, 3)
        for name, us in (("older revision", 100.0), ("this revision", 69.0))
    )

    verdicts = {goal.path: goal.verdict(results) for goal in GOALS_AGAINST}

    assert verdicts["list of 100, CPU"] is Verdict.REACHED
    assert verdicts["update, 32 at once, updates a second"] is Verdict.NOT_RUN
    assert revisions_table(results).splitlines()[2] == (
        "| lists                               |       0.69 |               1 |"
    )


def test_the_size_of_an_incident_on_disk_is_judged_on_any_machine() -> None:
    (goal,) = [goal for goal in GOALS_AGAINST if "on disk" in goal.path]
    machine = msgspec.structs.replace(this_machine("python -m bench against HEAD"), load_average=9.0)
    figures = [
        Figure(row="size on disk", name=f"{name}, for an incident of 3 alerts", value=value, unit="bytes")
        for name, value in (("older revision", 10_000), ("this revision", 22_001))
    ]

    assert was_noisy(Results([machine]))
    assert goal.verdict(Results([machine, *figures])) is Verdict.MISSED


def test_memory_after_reads_is_judged_only_after_as_many_as_the_goal_says() -> None:
    goals = [goal for goal in GOALS if "1,000,000 reads" in goal.path]
    figures = [
        Figure(row="memory", name=f"more after reads {which}", value=12.0, unit="MB")
        for which in ("of a hundred incidents", "of all incidents")
    ]

    few, enough = (
        Results([*figures, Figure(row="memory", name="reads", value=reads, unit="")])
        for reads in (999_999, 1_000_000)
    )

    assert [goal.verdict(few) for goal in goals] == [Verdict.NOT_RUN] * 2
    assert [goal.verdict(enough) for goal in goals] == [Verdict.REACHED] * 2


def test_a_token_never_seen_is_judged_without_the_check_of_its_signature() -> None:
    results = Results(
        [
            a_slice("vigie, tokens seen before", row="tokens never seen", cpu_us=30.0),
            a_slice("vigie, tokens never seen", row="tokens never seen", cpu_us=80.0),
            Figure(row="tokens never seen", name="signature check", value=36.0, unit="µs of CPU"),
        ]
    )

    (goal,) = [goal for goal in GOALS if "never seen" in goal.path]

    assert goal.value(results) == pytest.approx(14.0)
    assert goal.verdict(results) is Verdict.REACHED


def test_every_goal_has_one_bound_and_a_path_of_its_own() -> None:
    all_goals = (*GOALS, *GOALS_AGAINST)

    assert all((goal.at_most is None) != (goal.at_least is None) for goal in all_goals)
    assert len({goal.path for goal in all_goals}) == len(all_goals)


# The gate


def test_the_gate_takes_the_medians_of_both_ratios() -> None:
    found = ratios_of(a_run(nginx_us=10, logged_us=35, plain_us=30, peer_us=900))

    assert found.of_nginx == pytest.approx(3.5)
    assert found.of_peer == pytest.approx(30.0)
    assert found.passes


@pytest.mark.parametrize(
    ("of_nginx", "of_peer", "passes"), [(4.0, 20.0, True), (4.1, 40.0, False), (2.0, 19.9, False)]
)
def test_the_gate_is_half_as_strong_as_the_goals(of_nginx: float, of_peer: float, passes: bool) -> None:
    assert Ratios(of_nginx=of_nginx, of_peer=of_peer).passes is passes


def test_the_gate_does_not_pass_a_run_without_the_peer() -> None:
    run = Results(each for each in a_run().slices if each.contender != "fastapi-json")

    with pytest.raises(ValueError, match="lacks one of"):
        ratios_of(run)


# Tables


def test_a_table_is_markdown_with_columns_of_one_width() -> None:
    assert table(("who", "CPU"), [("nginx", "15.0"), ("vigie", "7")]) == (
        "| who   |  CPU |\n"
        "|-------|-----:|\n"
        "| nginx | 15.0 |\n"
        "| vigie |    7 |"
    )  # fmt: skip


def test_a_row_is_held_against_nginx_in_whatever_order_they_came() -> None:
    run = Results(reversed(a_run(nginx_us=10, plain_us=25).records))

    lines = rows_tables(run).splitlines()

    assert lines[0] == "### By id"
    assert lines[4].startswith("| nginx ")
    (vigie,) = [line for line in lines if line.startswith("| vigie  ")]
    cells = [cell.strip() for cell in vigie.strip("|").split("|")]
    assert cells == [
        "vigie",
        "1,000 (1,000 to 1,000)",
        "25 (25 to 25)",
        "900 (900 to 900)",
        "4,000 (4,000 to 4,000)",
        "2.5",
        "1",
    ]


def test_a_noisy_row_says_so() -> None:
    run = a_run()
    run.add(a_slice("nginx", 6, cpu_us=40.0))

    assert rows_tables(run).startswith("### By id (noisy)\n")
    assert "The machine was noisy" in tables(Results([this_machine("bench"), *run.records]))


def test_the_table_of_goals_has_a_line_for_each_and_invents_nothing() -> None:
    lines = goals_table(Results()).splitlines()[2:]

    assert len(lines) == len(GOALS)
    assert all(
        [cell.strip() for cell in line.strip("|").split("|")][2:] == ["-", "not run"] for line in lines
    )


def test_what_was_not_run_says_why() -> None:
    results = Results([Skipped(row="C loop over SQLite", reason="gcc is missing")])

    assert skipped_text(results) == "- Not run: C loop over SQLite. Gcc is missing."


def test_a_section_of_a_document_is_replaced_between_its_marks() -> None:
    document = "before\n<!-- begin: rows -->\nold\n<!-- end: rows -->\nafter\n"

    assert replaced(document, "rows", r"new \1") == (
        "before\n<!-- begin: rows -->\nnew \\1\n<!-- end: rows -->\nafter\n"
    )
    with pytest.raises(ValueError, match="no place for goals"):
        replaced(document, "goals", "new")


def test_the_document_has_every_goal_with_its_bound_and_every_plot() -> None:
    document = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.split("|")[1:3]] for line in document.splitlines() if "|" in line]

    bounds = [[goal.path, goal.bound] for goal in (*GOALS, *GOALS_AGAINST)]
    assert [each for each in bounds if each not in cells] == []
    assert {path.name for path in (ROOT / "docs" / "performance").glob("*.svg")} == set(
        re.findall(r"\(performance/([\w-]+\.svg)\)", document)
    )


def test_results_are_read_again_as_they_were_written(tmp_path: Path) -> None:
    results = Results(file=tmp_path / "results.jsonl")
    for record in (
        this_machine("python -m bench quick"),
        a_slice("nginx"),
        Figure(row="start", name="empty database", value=0.4, unit="s"),
        Skipped(row="PostgreSQL", reason="not yet"),
    ):
        results.add(record)

    assert read_results(tmp_path / "results.jsonl").records == results.records


# Revisions and imports


@pytest.mark.programs("git")
def test_a_revision_has_one_name_and_an_unknown_one_is_refused() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")

    assert short_commit("HEAD") == short_commit("HEAD~0")
    with pytest.raises(BenchError, match="'no-such-thing' is no revision of this repository"):
        short_commit("no-such-thing")


def test_imports_are_counted_by_package_and_the_layers_of_the_program_one_by_one() -> None:
    starts = [
        modules_in(
            [
                "import time: self [us] | cumulative | imported package",
                f"import time:      {1000 * times} |       9000 |   vigie.core.access",
                f"import time:      {2000 * times} |       9000 | vigie.core.quotas",
                f"import time:      {5000 * times} |       5000 |     cryptography.x509",
                "a line of the log",
            ]
        )
        for times in (2, 1, 9)
    ]

    assert imports_table(starts, top=9) == (
        "| package      | modules |  ms |  share |\n"
        "|--------------|--------:|----:|-------:|\n"
        "| cryptography |       1 | 5.0 |  62.5% |\n"
        "| vigie.core   |       2 | 3.0 |  37.5% |\n"
        "| all packages |       3 | 8.0 | 100.0% |"
    )


# Processes


@pytest.mark.programs("taskset")
def test_a_server_is_measured_with_its_children_and_gone_afterwards() -> None:
    port = free_port()
    # A server whose child does the work.
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "import http.server\n"
        f"http.server.HTTPServer(('127.0.0.1', {port}), http.server.BaseHTTPRequestHandler).serve_forever()\n"
    )

    with running("busy", [sys.executable, "-c", program], port, ready_path="/") as server:
        family = family_of(server.pid)
        before = server.cpu_seconds()
        wait_until(lambda: server.cpu_seconds() >= before + 0.1)
        spent, resident = server.cpu_seconds() - before, server.resident_bytes()

    assert len(family) == 2
    assert spent > 0.05
    assert resident > 1_000_000
    wait_until(lambda: not any(is_running(pid) for pid in family))


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only its entry that nobody has asked for yet."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_a_server_that_does_not_start_is_named() -> None:
    with (
        pytest.raises(BenchError, match="broken did not start"),
        running("broken", [sys.executable, "-c", "raise SystemExit(1)"], free_port(), ready_path="/"),
    ):
        pass


# Floods and soaks


@pytest.mark.parametrize(("kept", "ended"), [(0.49, 1), (0.5, 0), (1.1, 0)])
def test_floods_are_judged_by_the_worst(kept: float, ended: int, capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"64 x bad secrets": 2.0, "8 x forged tokens": kept, "64 x wrong passwords": 1.2}

    assert judged(shares, None) == judged(shares, 0.5) == ended
    assert f"{kept:.0%} beside 8 x forged tokens" in capsys.readouterr().out


def test_beside_what_is_public_more_must_be_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert judged({"64 x forged tokens": 0.51, "8 x style sheet": 0.59}, None) == 1
    assert "at least 60% are needed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["floods", "--seconds", "0.5", "--flooders", "4", "--only", "wrong passwords", "--kept", "0.01"],
            "beside 4 x wrong passwords; at least 1% are needed",
        ),
        (
            ["floods", "--seconds", "0.5", "--flooders", "2", "--only", "authorize page", "--kept", "0.01"],
            "beside 2 x authorize page; at least 1% are needed",
        ),
        (["soak", "--tokens", "40"], "since 10,000 are remembered"),
    ],
    ids=["floods", "floods of what is public", "soak"],
)
def test_a_short_one_of_each_is_run_against_the_real_program(arguments: list[str], said: str) -> None:
    name, *options = arguments

    ended = subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, said in ended.stdout) == (0, True), ended.stdout + ended.stderr
