#!/usr/bin/env escript
%% Call a server over TLS as Erlang/OTP does by itself: erlang_client.escript CA-FILE PORT NAME...
main([CaFile, Port | Names]) ->
    {ok, _} = application:ensure_all_started(ssl),
    [io:format("~ts ~0p~n", [Name, call(CaFile, list_to_integer(Port), Name)]) || Name <- Names].

call(CaFile, Port, Name) ->
    {Host, Family} =
        case inet:parse_address(Name) of
            {ok, Address} when tuple_size(Address) =:= 8 -> {Address, [inet6]};
            {ok, Address} -> {Address, []};
            {error, einval} -> {Name, []}
        end,
    Options = [{verify, verify_peer}, {cacertfile, CaFile}, {active, false}, {log_level, none} | Family],
    case ssl:connect(Host, Port, Options, 10000) of
        {ok, Connection} ->
            ok = ssl:send(Connection, <<"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n">>),
            {ok, Answer} = ssl:recv(Connection, 0, 10000),
            binary:part(iolist_to_binary(Answer), 0, 12);
        {error, {tls_alert, {Alert, _}}} ->
            Alert
    end.
