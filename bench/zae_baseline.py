"""Baseline: latency, CPU and DynamoDB calls per decision of zae-limiter.

Two entities hold one stored limit each: one never refuses (1,000,000 per
minute), one is exhausted (1 per day, spent). Decisions are sequential, and one
decision is a whole `with limiter.acquire(...)` block.

The configuration is the cheapest the library documents:
- `SyncRateLimiter`: one sequential caller gains nothing from an event loop.
- `speculative_writes` (the default): one conditional UpdateItem, no read.
- stored limits rather than `limits=`: read only off the fast path, and
  required by the rejection cache.
- no cascade, and a config cache (`config_cache_ttl`) that outlives the run.
- the rejection cache (default, 1 s): a repeated refusal is answered from
  memory, with one DynamoDB call per second. `refused_uncached` turns it off,
  so every refusal is DynamoDB's.

The aggregator Lambda of a full deployment is absent, so the hidden 1000-write
`wcu` budget of a bucket is refilled by the library's slow path, about once per
1000 admitted decisions; `calls` includes it.
"""

import argparse
import json
import resource
import time
import uuid
from collections import Counter
from importlib.metadata import version

import boto3
from zae_limiter import Limit, RateLimitExceeded, SyncRateLimiter, SyncRepository
from zae_limiter.schema import get_table_definition

REGION = "us-east-1"
RESOURCE = "api"
CONSUME = {"requests": 1}
LIMITS = {
    "open": Limit.per_minute("requests", 1_000_000),
    "spent": Limit.per_day("requests", 1),
}


def create_table(client, name: str) -> None:
    """Create the library's table: its keys and indexes, but no stream.

    The stream feeds the absent aggregator. DynamoDB Local keeps its records in
    a way that makes every later write slower; DynamoDB itself does not.
    """
    definition = get_table_definition(name)
    del definition["StreamSpecification"]
    client.create_table(**definition)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def connect(endpoint: str, stack: str, **options: float) -> SyncRateLimiter:
    repository = SyncRepository.open(
        stack=stack, region=REGION, endpoint_url=endpoint, config_cache_ttl=86_400, **options
    )
    return SyncRateLimiter(repository=repository)


def decide(limiter: SyncRateLimiter, entity: str) -> bool:
    try:
        with limiter.acquire(entity, RESOURCE, CONSUME):
            return True
    except RateLimitExceeded:
        return False


def measure(limiter: SyncRateLimiter, entity: str, admit: bool, warm: int, requests: int) -> dict:
    for _ in range(warm):
        decide(limiter, entity)

    calls = Counter()

    def count(model, **_):
        calls[model.name] += 1

    events = limiter._repository._get_client().meta.events
    events.register("before-call.dynamodb", count)
    clock = time.perf_counter_ns
    times, wrong = [], 0
    cpu = time.process_time_ns()
    for _ in range(requests):
        start = clock()
        admitted = decide(limiter, entity)
        times.append(clock() - start)
        wrong += admitted is not admit
    cpu = time.process_time_ns() - cpu
    events.unregister("before-call.dynamodb", count)
    if wrong:
        raise SystemExit(f"{entity}: {wrong} of {requests} decisions should be admitted={admit}")

    times.sort()
    percentiles = {
        f"p{p}_us": round(times[-(-p * requests // 100) - 1] / 1000, 1) for p in (50, 95, 99)
    }
    return percentiles | {
        "cpu_us": round(cpu / requests / 1000, 1),
        "calls": round(calls.total() / requests, 4),
        "operations": dict(calls),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--requests", type=int, required=True)
    parser.add_argument("--warm", type=int, default=200)
    args = parser.parse_args()
    if args.requests < 1 or args.warm < 0:
        parser.error("--requests must be at least 1 and --warm at least 0")

    stack = f"zae-{uuid.uuid4().hex}"
    client = boto3.client("dynamodb", region_name=REGION, endpoint_url=args.endpoint)
    create_table(client, stack)
    try:
        limiter = connect(args.endpoint, stack)
        uncached = connect(args.endpoint, stack, rejection_cache_ttl=0)
        for entity, limit in LIMITS.items():
            limiter.set_limits(entity, [limit], RESOURCE, principal="bench")
            decide(limiter, entity)  # creates the bucket, and spends the one token of `spent`
        run = {"warm": args.warm, "requests": args.requests}
        result = {
            "version": version("zae-limiter"),
            "admitted": measure(limiter, "open", True, **run),
            "refused": measure(limiter, "spent", False, **run),
            "refused_uncached": measure(uncached, "spent", False, **run),
            "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
    finally:
        client.delete_table(TableName=stack)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
