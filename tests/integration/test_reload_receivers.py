"""Receivers and the health port through a reload: other ports, names, servers, certificates."""

import signal
import socket
import ssl
import threading

import grpc
import pytest
import requests

from agent import free_ports, wait_until
from reload_clients import Client, changed, connects, grpc_send, wait_delivered
from test_tls import authority, no_authorities_of_the_environment  # noqa: F401


def test_a_receiver_moves_to_another_port_and_old_connections_stay(make_agent, upstream):
    agent = make_agent().start()
    http_port, grpc_port = free_ports(2)
    client = Client(agent.http_port)
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        ids = client.send()[1] + grpc_send(channel)

        def move(document):
            protocols = document["receivers"]["otlp"]["protocols"]
            protocols["http"]["endpoint"] = f"127.0.0.1:{http_port}"
            protocols["grpc"]["endpoint"] = f"127.0.0.1:{grpc_port}"

        agent.reload(changed(agent, move))
        assert not connects(agent.http_port) and not connects(agent.grpc_port)
        ids += client.send()[1] + grpc_send(channel)
    ids += Client(http_port).send()[1]
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        ids += grpc_send(channel)
    wait_delivered(upstream, ids)


@pytest.mark.parametrize("hosts", [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("localhost", "127.0.0.1"),
                                   ("127.0.0.1", "localhost"), ("localhost", "0.0.0.0")])
def test_a_receiver_is_opened_to_more_hosts_on_the_same_port(make_agent, upstream, hosts):
    agent = make_agent()

    def listen(host):
        def change(document):
            protocols = document["receivers"]["otlp"]["protocols"]
            protocols["http"]["endpoint"] = f"{host}:{agent.http_port}"
            protocols["grpc"]["endpoint"] = f"{host}:{agent.grpc_port}"
        return changed(agent, change)

    agent.write_config(listen(hosts[0]))
    agent.start()
    client = Client(agent.http_port)
    ids = client.send()[1]
    refused = []
    stop = threading.Event()

    def knock():
        while not stop.is_set():
            for port in (agent.http_port, agent.grpc_port):
                try:
                    socket.create_connection(("127.0.0.1", port), 5).close()
                except OSError as error:
                    refused.append(error)

    knocking = threading.Thread(target=knock)
    knocking.start()
    shown = agent.reload(listen(hosts[1]))
    stop.set()
    knocking.join()
    assert shown["last_result"] == "taken", shown
    assert refused == []
    ids += client.send()[1] + Client(agent.http_port).send()[1]
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        ids += grpc_send(channel)
    wait_delivered(upstream, ids)


def test_a_receiver_gets_another_name_on_the_same_port(make_agent, upstream):
    agent = make_agent().start()
    ids = Client(agent.http_port).send()[1]

    def rename(document):
        document["receivers"]["otlp/edge"] = document["receivers"].pop("otlp")
        for pipeline in document["service"]["pipelines"].values():
            pipeline["receivers"] = ["otlp/edge"]

    shown = agent.reload(changed(agent, rename))
    assert shown["last_result"] == "taken", shown
    assert {r["receiver"] for r in agent.status()["receivers"]} == {"otlp/edge"}
    with grpc.insecure_channel(agent.grpc_endpoint) as channel:
        ids += Client(agent.http_port).send()[1] + grpc_send(channel)
    wait_delivered(upstream, ids)


def test_the_health_port_moves_goes_and_comes(make_agent):
    agent = make_agent().start()
    document = agent.document()
    old = agent.health_port
    (new,) = free_ports(1)
    document["extensions"]["health_check"] = {"endpoint": f"127.0.0.1:{new}", "path": "/up"}
    agent.write_config(document)
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: connects(new), what="the new port")
    wait_until(lambda: not connects(old), what="the end of the old port")
    agent.health_port = new
    assert requests.get(agent.health_url("/up"), timeout=5).status_code == 200
    assert requests.get(agent.health_url("/"), timeout=5).status_code == 404
    document["service"]["extensions"].remove("health_check")
    agent.write_config(document)
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not connects(new), what="the end of the port")
    document["service"]["extensions"].append("health_check")
    agent.write_config(document)
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: connects(new), what="the port")
    wait_until(lambda: agent.status()["configuration"]["reloads_taken"] == 3, what="the third reload")


def test_the_server_of_grpc_is_replaced_while_calls_come(make_agent, upstream):
    agent = make_agent().start()
    failures = []
    ids = []
    stop = threading.Event()

    def call():
        with grpc.insecure_channel(agent.grpc_endpoint, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            while not stop.is_set():
                try:
                    ids.extend(grpc_send(channel))
                except grpc.RpcError as error:
                    failures.append(f"{error.code()} {error.details()}")

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for mib in range(5, 15):
        agent.reload(changed(agent, lambda d, mib=mib: d["receivers"]["otlp"]["protocols"]["grpc"].update(
            max_recv_msg_size_mib=mib)))
    stop.set()
    for caller in callers:
        caller.join()
    assert failures == []
    wait_delivered(upstream, ids)
    assert len(upstream.ids()) == len(ids)


def test_tls_is_switched_on_and_its_certificate_changed(make_agent, upstream, authority):  # noqa: F811
    agent = make_agent().start()
    first, second = authority.issue("first"), authority.issue("second")
    roots = authority.cert.read_bytes()

    def with_certificate(files):
        def change(document):
            for protocol in document["receivers"]["otlp"]["protocols"].values():
                protocol["tls"] = {"cert_file": str(files[0]), "key_file": str(files[1])}
        return changed(agent, change)

    def served_name(port):
        context = ssl.create_default_context(cafile=authority.cert)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="localhost") as tls:
            return dict(pair[0] for pair in tls.getpeercert()["subject"])["commonName"]

    plain = Client(agent.http_port)
    ids = plain.send()[1]
    for name, files in (("first", first), ("second", second)):
        shown = agent.reload(with_certificate(files))
        assert shown["last_result"] == "taken", shown
        assert served_name(agent.http_port) == name
        assert served_name(agent.grpc_port) == name
        with grpc.secure_channel(f"localhost:{agent.grpc_port}", grpc.ssl_channel_credentials(roots)) as channel:
            ids += grpc_send(channel)
    plain.connection.request("POST", "/v1/traces", b"", {"Content-Type": "application/x-protobuf"})
    answer = plain.connection.getresponse()  # what is open is answered once more
    assert (answer.status, answer.getheader("Connection")) == (200, "close")
    wait_delivered(upstream, ids)
