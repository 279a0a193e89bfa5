"""The rows of reading: one incident by its number, and lists."""

from contextlib import ExitStack
from dataclasses import replace

from bench.callers import token_file, tokens_file
from bench.driver import Bench, Contender, answer_of, measure, require_same_answers
from bench.list_loop import PAGE_OPTIONS, serving_rows
from bench.nginx import serving_files
from bench.peer_servers import PEER_NAMES, require_peers, serving_peer
from bench.processes import BenchError, Server
from bench.results import Figure, Skipped
from bench.signature import measure_signature_check
from bench.stores import LARGE_TENANT, TENANT, Store
from bench.vigie_server import serving_store
from bench.wrk import Load

BY_ID, ONE, LARGE, LARGE_ONE = "by id", "by id, 1 connection", "40 KB", "40 KB, 1 connection"
CALLERS, IDS, UNSEEN, LISTS = "callers", "ids", "tokens never seen", "lists"

ONE_INCIDENT, ANY_INCIDENT = "vigie, one incident", "vigie, any of all incidents"
COUNT = "incidents in the database"
LIST, LIST_FILE, LIST_LOOP = f"/api/incidents?{PAGE_OPTIONS}", "/list.json", "C loop, same rows"

_FRESH_TOKENS, _REMEMBERED_TOKENS = 2_000, 100
_LIST_CONNECTIONS = 4


def by_id(bench: Bench) -> None:
    """Everybody: nginx, Vigie without its request log and with it, the peers."""
    _by_id(bench, BY_ID, PEER_NAMES, connections=32)


def quick(bench: Bench) -> None:
    """The ratios that are stable on any machine: against nginx and against the JSON-column peer."""
    _by_id(bench, BY_ID, PEER_NAMES[:1], connections=32)


def one_connection(bench: Bench) -> None:
    """The same with one request at a time."""
    _by_id(bench, ONE, PEER_NAMES[:1], connections=1)


def _by_id(bench: Bench, row: str, peer_names: tuple[str, ...], *, connections: int) -> None:
    try:
        require_peers()
    except BenchError as error:
        bench.results.add(Skipped(row=f"{row}: peers", reason=str(error)))
        peer_names = ()
    with ExitStack() as running:
        vigie = running.enter_context(serving_store(bench.store))
        logged = running.enter_context(serving_store(bench.store, logs=True, name="vigie-logged"))
        target = incident(bench.store.chosen.whole)
        load = load_on(bench.store, vigie, target, connections=connections)
        nginx = running.enter_context(serving_files({load.target: answer_of(vigie, load)}))
        servers = {"nginx": nginx, "vigie": vigie, "vigie, request log on": logged}
        servers |= {name: running.enter_context(serving_peer(name, bench.store)) for name in peer_names}
        contenders = [Contender(name=name, server=server, load=load) for name, server in servers.items()]
        require_same_answers(contenders)
        _require_same_exposure(bench, [each for each in contenders if each.name != "nginx"])
        measure(bench, row, contenders)


def _require_same_exposure(bench: Bench, contenders: list[Contender]) -> None:
    """See that all leave the same out for the scoped user, where alerts are hidden and where they are trimmed."""
    for incident_id in (bench.store.chosen.spliced, bench.store.chosen.parsed):
        load = load_on(bench.store, contenders[0].server, incident(incident_id), caller="scoped")
        require_same_answers([replace(contender, load=load) for contender in contenders])


def large(bench: Bench) -> None:
    """An incident of 40 KB, at 32 connections and at one."""
    with ExitStack() as running:
        vigie = running.enter_context(serving_store(bench.store))
        load = load_on(bench.store, vigie, incident(1), tenant=LARGE_TENANT)
        nginx = running.enter_context(serving_files({load.target: answer_of(vigie, load)}))
        for row, connections in ((LARGE, 32), (LARGE_ONE, 1)):
            asked = replace(load, connections=connections)
            contenders = [Contender(name=server.name, server=server, load=asked) for server in (nginx, vigie)]
            require_same_answers(contenders)
            measure(bench, row, contenders)


def callers(bench: Bench) -> None:
    """The same server for an application, a user who sees all, and one who sees some device groups."""
    store, chosen = bench.store, bench.store.chosen
    whole, spliced, parsed = map(incident, (chosen.whole, chosen.spliced, chosen.parsed))
    with ExitStack() as running:
        vigie = running.enter_context(serving_store(store))
        application = load_on(store, vigie, whole)
        nginx = running.enter_context(serving_files({application.target: answer_of(vigie, application)}))
        loads = {
            "application": application,
            "application, the incident spliced below": load_on(store, vigie, spliced),
            "application, the incident parsed below": load_on(store, vigie, parsed),
            "unscoped user": load_on(store, vigie, whole, caller="whole"),
            "scoped user, sees all of it": load_on(store, vigie, whole, caller="scoped"),
            "scoped user, alerts spliced out": load_on(store, vigie, spliced, caller="scoped"),
            "scoped user, an alert parsed": load_on(store, vigie, parsed, caller="scoped"),
        }
        contenders = [Contender(name=name, server=vigie, load=load) for name, load in loads.items()]
        first = Contender(name="nginx", server=nginx, load=application)
        require_same_answers([first, contenders[0], contenders[3], contenders[4]])
        measure(bench, CALLERS, [first, *contenders])


def ids(bench: Bench) -> None:
    """One incident all the time, and any of all incidents."""
    with ExitStack() as running:
        vigie = running.enter_context(serving_store(bench.store))
        hot = load_on(bench.store, vigie, incident(bench.store.chosen.whole))
        nginx = running.enter_context(serving_files({hot.target: answer_of(vigie, hot)}))
        measure(
            bench,
            IDS,
            [
                Contender(name="nginx, one file", server=nginx, load=hot),
                Contender(name=ONE_INCIDENT, server=vigie, load=hot),
                Contender(name=ANY_INCIDENT, server=vigie, load=any_incident(hot, bench.store)),
            ],
        )
    bench.results.add(Figure(row=IDS, name=COUNT, value=bench.store.incident_count, unit=""))


def tokens_never_seen(bench: Bench) -> None:
    """Tokens that are remembered, and tokens that are not any more when their turn comes again."""
    environ = {"VIGIE_IDENTITY_TOKEN_CACHE_SIZE": str(_REMEMBERED_TOKENS)}
    with serving_store(bench.store, environ=environ) as vigie:
        seen = load_on(bench.store, vigie, incident(bench.store.chosen.whole))
        remembered = replace(seen, tokens=tokens_file(bench.store, "application", _REMEMBERED_TOKENS // 2))
        fresh = replace(seen, tokens=tokens_file(bench.store, "application", _FRESH_TOKENS))
        measure(
            bench,
            UNSEEN,
            [
                Contender(name="vigie, tokens seen before", server=vigie, load=remembered),
                Contender(name="vigie, tokens never seen", server=vigie, load=fresh),
            ],
        )
        check_us = measure_signature_check(fresh.tokens, bench.store)
    bench.results.add(Figure(row=UNSEEN, name="signature check", value=check_us, unit="µs of CPU"))


def lists(bench: Bench) -> None:
    """A list of 100: all, filtered, and from the 10,001st on; nginx and the C loop send the bytes of the first."""
    targets = {
        "vigie": LIST,
        "vigie, filtered": f"{LIST}&$filter=status%20eq%20'Active'",
        "vigie, $skip 10,000": f"{LIST}&$skip=10000",
    }
    if bench.store.incident_count < 10_200:
        del targets["vigie, $skip 10,000"]
        bench.results.add(Skipped(row=f"{LISTS}: $skip 10,000", reason="the store has too few incidents"))
    with ExitStack() as running:
        vigie = running.enter_context(serving_store(bench.store))
        loads = {name: list_load(bench.store, vigie, target) for name, target in targets.items()}
        page = answer_of(vigie, loads["vigie"])
        contenders = [list_from_nginx(running, loads["vigie"], page)]
        try:
            server = running.enter_context(serving_rows(bench.store, page))
            contenders.append(Contender(name=LIST_LOOP, server=server, load=loads["vigie"]))
        except BenchError as error:
            bench.results.add(Skipped(row=f"{LISTS}: {LIST_LOOP}", reason=str(error)))
        contenders += [Contender(name=name, server=vigie, load=load) for name, load in loads.items()]
        require_same_answers([each for each in contenders if each.load.target in (LIST, LIST_FILE)])
        measure(bench, LISTS, contenders)


def list_load(store: Store, server: Server, target: str) -> Load:
    """A load on one list, on as many connections as there are lists at once."""
    return load_on(store, server, target, connections=_LIST_CONNECTIONS)


def list_from_nginx(running: ExitStack, load: Load, page: bytes) -> Contender:
    """nginx sending the bytes of a page, from a path without options."""
    nginx = running.enter_context(serving_files({LIST_FILE: page}))
    return Contender(name="nginx", server=nginx, load=replace(load, target=LIST_FILE))


def load_on(
    store: Store,
    server: Server,
    target: str,
    *,
    caller: str = "application",
    tenant: str = TENANT,
    connections: int = 32,
) -> Load:
    """A load on one address; its answer is looked at once, to know how long it must be."""
    tokens = token_file(store, caller, tenant=tenant)
    load = Load(target=target, tokens=tokens, body_bytes_min=1, connections=connections)
    return replace(load, body_bytes_min=len(answer_of(server, load)))


def incident(number: int) -> str:
    """The address of an incident."""
    return f"/api/incidents/{number}"


def any_incident(load: Load, store: Store) -> Load:
    """The same load on all incidents at random."""
    return replace(load, target="/api/incidents/%d", first=1, last=store.incident_count, body_bytes_min=4_000)
