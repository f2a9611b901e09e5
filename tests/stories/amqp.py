"""A stranger at the broker.

spy PREFIX PROVIDER... FILE   copies of every task published for these providers, one body a line, until stdin closes
publish PREFIX KEY BODY [TRACEPARENT]   one message, as any client would; in a trace, if given
dead PREFIX                   the dead letters' reasons, one a line
"""
import json
import os
import sys
import threading

import pika


def channel():
    connection = pika.BlockingConnection(pika.URLParameters(os.environ["SCIMFLEET_QUEUE_URL"]))
    return connection, connection.channel()


def spy(prefix, *rest):
    providers, path = rest[:-1], rest[-1]
    connection, at = channel()
    at.exchange_declare(prefix, exchange_type="direct", durable=True)
    queue = at.queue_declare("", exclusive=True).method.queue
    for provider in providers:
        for lane in ("leavers", "changes", "sync"):
            at.queue_bind(queue, prefix, f"{provider}.{lane}")
    out = open(path, "w", buffering=1)

    def note(_at, _method, properties, body):
        out.write(json.dumps({"body": body.decode(), "delivery_mode": properties.delivery_mode,
                              "content_type": properties.content_type, "message_id": properties.message_id}) + "\n")

    at.basic_consume(queue, note, auto_ack=True)

    def stop():
        sys.stdin.read()
        connection.add_callback_threadsafe(at.stop_consuming)

    threading.Thread(target=stop, daemon=True).start()
    print("listening", flush=True)
    at.start_consuming()


def publish(prefix, key, body, traceparent=None):
    _, at = channel()
    at.confirm_delivery()
    headers = {"traceparent": traceparent} if traceparent else None
    at.basic_publish(prefix, key, body.encode(), pika.BasicProperties(headers=headers), mandatory=True)


def dead(prefix):
    _, at = channel()
    while True:
        method, properties, _ = at.basic_get(f"{prefix}.dead", auto_ack=False)
        if method is None:
            return
        print((properties.headers or {}).get("x-scimfleet-reason"))


globals()[sys.argv[1]](*sys.argv[2:])
