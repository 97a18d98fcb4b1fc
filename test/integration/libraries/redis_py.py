"""What applications do with redis-py. Run as `redis_py.py plain|cluster <port>...`, by redis-py.test.ts.

It prints `counted <n>` as it counts, so that the test knows when to kill the leader, and `done` when all is well.
"""

import logging
import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

# In cluster mode every redirect and every broken connection is reported with its stack.
logging.disable(logging.CRITICAL)

PATIENCE_S = 60
COUNT = 200


def connect(mode, ports):
    if mode == "cluster":
        nodes = [ClusterNode("127.0.0.1", port) for port in ports]
        return RedisCluster(startup_nodes=nodes, decode_responses=True)
    return redis.Redis(port=ports[0], decode_responses=True)


def expect(found, wanted):
    if found != wanted:
        raise AssertionError(f"expected {wanted!r}, got {found!r}")


def everyday_things(client):
    client.hset("user:1", mapping={"name": "Zoë", "visits": 1})
    client.hincrby("user:1", "visits", 2)
    expect(client.hgetall("user:1"), {"name": "Zoë", "visits": "3"})
    client.rpush("basket", "tea", "bread", "milk")
    expect(client.lrange("basket", 1, -1), ["bread", "milk"])
    client.zadd("ranking", {"ann": 10.5, "bob": 30})
    expect(client.zrange("ranking", 0, -1, withscores=True), [("ann", 10.5), ("bob", 30.0)])
    client.sadd("tags", "a", "b")
    expect(client.smembers("tags"), {"a", "b"})
    expect(client.set("lock", "me", nx=True, ex=100), True)
    expect(client.set("lock", "you", nx=True), None)
    expect(0 < client.ttl("lock") <= 100, True)


def pipelines(client):
    pipeline = client.pipeline(transaction=False) if not is_cluster(client) else client.pipeline()
    for at in range(100):
        pipeline.set(f"{{p}}{at}", at)
    pipeline.get("{p}99")
    replies = pipeline.execute()
    expect(replies[-1], "99")
    expect(len(set(client.scan_iter(match="{p}*", count=30))), 100)


def transactions(client):
    client.set("stock", 1)

    def sell(pipeline):
        left = int(pipeline.get("stock"))
        pipeline.multi()
        pipeline.set("stock", left - 1)
        return left

    expect(client.transaction(sell, "stock", value_from_callable=True), 1)
    expect(client.get("stock"), "0")
    with client.pipeline() as pipeline:
        pipeline.watch("stock")
        client.set("stock", 7)
        pipeline.multi()
        pipeline.incr("stock")
        try:
            pipeline.execute()
            raise AssertionError("a watched key was changed")
        except redis.WatchError:
            pass
    expect(client.get("stock"), "7")


def scripts(client):
    add = client.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    expect(add(keys=["scripted"], args=[5]), 5)
    client.script_flush()
    expect(add(keys=["scripted"], args=[5]), 10)


def locks(client):
    with client.lock("door", timeout=PATIENCE_S):
        expect(client.lock("door", timeout=PATIENCE_S, blocking=False).acquire(), False)
    expect(client.exists("door"), 0)


def waiting(client):
    def produce():
        time.sleep(0.05)
        client.rpush("{q}usual", "sweep")

    thread = threading.Thread(target=produce)
    thread.start()
    expect(client.blpop(["{q}urgent", "{q}usual"], timeout=PATIENCE_S), ("{q}usual", "sweep"))
    thread.join()


def streams(client):
    client.xgroup_create("orders", "shop", id="$", mkstream=True)
    entry = client.xadd("orders", {"item": "tea"})
    got = client.xreadgroup("shop", "ann", {"orders": ">"}, block=PATIENCE_S * 1000)
    expect(got, [["orders", [(entry, {"item": "tea"})]]])
    expect(client.xpending("orders", "shop")["pending"], 1)
    expect(client.xack("orders", "shop", entry), 1)


def news(client):
    subscriber = client.pubsub(ignore_subscribe_messages=True)
    subscriber.subscribe("news")
    subscriber.psubscribe("w*")
    # What confirms the subscriptions is read first: only then is anything sure to be heard.
    for _ in range(2):
        subscriber.get_message(timeout=PATIENCE_S)
    client.publish("news", "one")
    client.publish("weather", "rain")
    heard = []
    deadline = time.monotonic() + PATIENCE_S
    while len(heard) < 2 and time.monotonic() < deadline:
        message = subscriber.get_message(timeout=1)
        if message:
            heard.append((message["type"], message["channel"], message["data"]))
    expect(sorted(heard), [("message", "news", "one"), ("pmessage", "weather", "rain")])
    subscriber.close()


def counting(client):
    """Counts while the leader is killed: what was acknowledged is there, of what failed nobody knows.

    The cluster client sends again by itself what a node that died did not answer, and so may count twice.
    """
    acknowledged = failed = 0
    deadline = time.monotonic() + PATIENCE_S
    while acknowledged < COUNT:
        try:
            client.incr("visits")
            acknowledged += 1
            if acknowledged % 50 == 0:
                print("counted", acknowledged, flush=True)
        except (redis.RedisError, redis.exceptions.RedisClusterException):
            failed += 1
            if time.monotonic() > deadline:
                raise
    counted = int(client.get("visits"))
    expect(counted >= acknowledged, True)
    if not is_cluster(client):
        expect(counted <= acknowledged + failed, True)


def is_cluster(client):
    return isinstance(client, RedisCluster)


def main():
    mode, *ports = sys.argv[1:]
    client = connect(mode, [int(port) for port in ports])
    everyday_things(client)
    pipelines(client)
    if not is_cluster(client):  # redis-py has neither WATCH nor MULTI in its cluster client
        transactions(client)
        locks(client)
    scripts(client)
    waiting(client)
    streams(client)
    news(client)
    counting(client)
    print("done", flush=True)


main()
