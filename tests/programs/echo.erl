%% An echo server and its clients: main([Clients, Messages]). Prints how many messages came back
%% intact, and stays for inspection.
-module(echo).
-export([main/1]).

main([Clients, Messages]) ->
    C = list_to_integer(atom_to_list(Clients)),
    M = list_to_integer(atom_to_list(Messages)),
    {ok, Listener} = gen_tcp:listen(0, [binary, {ip, {127, 0, 0, 1}}, {active, false}, {backlog, C}, {packet, 2}]),
    {ok, Port} = inet:port(Listener),
    spawn_link(fun() -> accept(Listener) end),
    Self = self(),
    [spawn_link(fun() -> Self ! {counted, client(Port, N, M)} end) || N <- lists:seq(1, C)],
    Sum = lists:sum([receive {counted, K} -> K end || _ <- lists:seq(1, C)]),
    io:format("done: ~b messages compared~n", [Sum]).

accept(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    Pid = spawn(fun() -> receive go -> serve(Socket) end end),
    ok = gen_tcp:controlling_process(Socket, Pid),
    Pid ! go,
    accept(Listener).

%% Delivers one message at a time, as is usual: the socket's registration is one-shot.
serve(Socket) ->
    ok = inet:setopts(Socket, [{active, once}]),
    receive
        {tcp, Socket, Data} -> ok = gen_tcp:send(Socket, Data), serve(Socket);
        {tcp_closed, Socket} -> ok
    end.

client(Port, N, Messages) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}, {packet, 2}]),
    Sent = [begin
                Data = message(N, K),
                ok = gen_tcp:send(Socket, Data),
                {ok, Data} = gen_tcp:recv(Socket, 0, 10000),
                1
            end || K <- lists:seq(1, Messages)],
    ok = gen_tcp:close(Socket),
    lists:sum(Sent).

%% Of a length and with bytes that depend on both numbers.
message(N, K) -> binary:copy(<<N:16, K:16>>, 1 + (N * K) rem 500).
