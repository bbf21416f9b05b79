"""A session of boto3's API Gateway client, unchanged: every operation, its paginators, its exceptions.

Its one argument is the URL of a management API with nothing in it.
"""

import csv
import datetime
import io
import sys

import boto3
from botocore.exceptions import ClientError

api = boto3.client("apigateway", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="local", aws_secret_access_key="local")
today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def refused(name, call, /, **arguments):
    """A call that has to raise this exception of the client's own; its message."""
    try:
        call(**arguments)
    except getattr(api.exceptions, name) as error:
        assert error.response["ResponseMetadata"]["RequestId"]
        assert error.response["Error"]["Code"] == name
        return error.response["Error"]["Message"]
    raise AssertionError(f"{name} was not raised")


def patch(**by_path):
    return [{"op": op, "path": path, "value": value} for op, path, value in by_path["operations"]]


# Keys.
bare = api.create_api_key()
assert len(bare["ResponseMetadata"]["RequestId"]) == 36
assert bare["enabled"] is False and "name" not in bare and bare["stageKeys"] == []
assert bare["value"].startswith("tg_") and "tags" not in bare
assert isinstance(bare["createdDate"], datetime.datetime)
first = api.create_api_key(name="first", description="d", enabled=True, customerId="acme",
                           generateDistinctId=True, tags={"team": "a"}, value="a-value-of-the-users-own",
                           stageKeys=[{"restApiId": "a", "stageName": "b"}])
assert first["stageKeys"] == ["a/b"]
assert first["value"] == "a-value-of-the-users-own" and first["tags"] == {"team": "a"}
shown = api.get_api_key(apiKey=first["id"])
assert "value" not in shown and shown["customerId"] == "acme" and shown["tags"] == {"team": "a"}
changed = api.update_api_key(apiKey=first["id"], patchOperations=patch(operations=[
    ("replace", "/name", "renamed"), ("replace", "/enabled", "nonsense")]))
assert changed["name"] == "renamed" and changed["enabled"] is False and "value" not in changed
api.update_api_key(apiKey=first["id"], patchOperations=patch(operations=[("replace", "/enabled", "true")]))
assert [key["id"] for key in api.get_api_keys()["items"]] == [first["id"], bare["id"]]
assert [key["id"] for key in api.get_api_keys(nameQuery="ren")["items"]] == [first["id"]]
assert api.get_api_keys(nameQuery="Ren")["items"] == []
assert [key["id"] for key in api.get_api_keys(customerId="acme")["items"]] == [first["id"]]
assert api.get_api_keys(limit=-1)["items"] == []
assert all("tags" not in key and "value" not in key for key in api.get_api_keys()["items"])

assert refused("ConflictException", api.create_api_key, value=first["value"]) == "API Key already exists"
assert refused("BadRequestException", api.create_api_key, value="short") == (
    "API Key value should be at least 20 characters")
assert refused("BadRequestException", api.create_api_key, value="x" * 129) == (
    "API Key value exceeds maximum size of 128 characters")
assert refused("BadRequestException", api.create_api_key, name="x" * 1025) == (
    "Invalid API Key name, can be at most 1024 characters.")
assert refused("BadRequestException", api.create_api_key, description="x" * 125001) == (
    "Invalid API Key description specified.")
assert refused("NotFoundException", api.get_api_key, apiKey="nosuchkey") == "Invalid API Key identifier specified"
assert refused("BadRequestException", api.update_api_key, apiKey=first["id"],
               patchOperations=patch(operations=[("replace", "/id", "x")])) == (
    "Invalid patch path  '/id' specified for op 'replace'. "
    "Must be one of: [/description, /enabled, /name, /customerId]")

# Plans.
plan = api.create_usage_plan(
    name="plan", description="d", tags={"a": "b"}, throttle={"rateLimit": 5, "burstLimit": 10},
    quota={"limit": 100, "period": "WEEK", "offset": 6},
    apiStages=[{"apiId": "api", "stage": "prod", "throttle": {"/pets/GET": {"rateLimit": 1, "burstLimit": 2}}}])
assert plan["throttle"] == {"burstLimit": 10, "rateLimit": 5.0} and plan["quota"]["offset"] == 6
empty = api.create_usage_plan(name="empty")
assert empty["apiStages"] == [] and "throttle" not in empty and "quota" not in empty
assert api.get_usage_plan(usagePlanId=plan["id"])["tags"] == {"a": "b"}
assert [each["id"] for each in api.get_usage_plans()["items"]] == [empty["id"], plan["id"]]
changed = api.update_usage_plan(usagePlanId=plan["id"], patchOperations=patch(operations=[
    ("replace", "/quota/limit", "50"), ("add", "/apiStages", "other:dev"),
    ("replace", "/apiStages/other:dev/throttle/~1a~1{id}/POST/rateLimit", "2.5"),
    ("add", "/productCode", "code")]))
assert changed["quota"]["limit"] == 50 and changed["productCode"] == "code"
assert changed["apiStages"][1]["throttle"] == {"/a/{id}/POST": {"rateLimit": 2.5}}
before = api.get_usage_plan(usagePlanId=plan["id"])
refused("BadRequestException", api.update_usage_plan, usagePlanId=plan["id"], patchOperations=patch(operations=[
    ("replace", "/name", "half done"), ("replace", "/quota/limit", "-5")]))
after = api.get_usage_plan(usagePlanId=plan["id"])
assert {**before, "ResponseMetadata": 0} == {**after, "ResponseMetadata": 0}
assert refused("BadRequestException", api.create_usage_plan, name="x", quota={"limit": 1, "period": "WEEK", "offset": 9})
assert refused("BadRequestException", api.create_usage_plan, name="x", throttle={"rateLimit": -1.0})
assert refused("NotFoundException", api.get_usage_plan, usagePlanId="nosuchplan") == "Invalid Usage Plan ID specified"

# Keys of plans.
link = api.create_usage_plan_key(usagePlanId=plan["id"], keyId=first["id"], keyType="API_KEY")
assert (link["id"], link["type"], link["name"]) == (first["id"], "API_KEY", "renamed")
assert api.get_usage_plan_key(usagePlanId=plan["id"], keyId=first["id"])["id"] == first["id"]
assert [key["id"] for key in api.get_usage_plan_keys(usagePlanId=plan["id"])["items"]] == [first["id"]]
assert api.get_usage_plan_keys(usagePlanId="nosuchplan")["items"] == []
assert [each["id"] for each in api.get_usage_plans(keyId=first["id"])["items"]] == [plan["id"]]
refused("ConflictException", api.create_usage_plan_key, usagePlanId=plan["id"], keyId=first["id"], keyType="API_KEY")
refused("NotFoundException", api.create_usage_plan_key, usagePlanId=plan["id"], keyId="nosuchkey", keyType="API_KEY")

# Usage.
usage = api.get_usage(usagePlanId=plan["id"], startDate=today, endDate=today)
assert usage["items"] == {first["id"]: [[0, 50]]}, usage
extended = api.update_usage(usagePlanId=plan["id"], keyId=first["id"], patchOperations=patch(operations=[
    ("replace", "/remaining", "70")]))
assert extended["items"] == {first["id"]: [[0, 70]]}, extended
assert refused("NotFoundException", api.get_usage, usagePlanId=plan["id"], keyId="nosuchkey", startDate=today,
               endDate=today) == "Invalid Key identifier specified"
refused("BadRequestException", api.get_usage, usagePlanId=plan["id"], startDate="2026-01-01", endDate="2026-12-31")
refused("BadRequestException", api.get_usage, usagePlanId=plan["id"], startDate="01/01/2026", endDate=today)

# An import, with columns in an order of their own.
rows = io.StringIO()
writer = csv.writer(rows)
writer.writerow(["key", "NAME", "usageplanIds", "enabled"])
writer.writerows([f"imported-value-{number:06}", f"n{number}", plan["id"], "tRuE"] for number in range(30))
imported = api.import_api_keys(body=rows.getvalue().encode(), format="csv", failOnWarnings=True)
assert len(imported["ids"]) == 30 and imported.get("warnings", []) == []
again = api.import_api_keys(body=rows.getvalue().encode(), format="csv", failOnWarnings=False)
assert again["ids"] == imported["ids"]
assert refused("BadRequestException", api.import_api_keys, body=b"name\nx\n", format="csv") == (
    "Missing required column 'Key'")

# Paginators: every entry once.
for operation, arguments, expected in [
    ("get_api_keys", {}, 32), ("get_usage_plan_keys", {"usagePlanId": plan["id"]}, 31), ("get_usage_plans", {}, 2),
]:
    pages = api.get_paginator(operation).paginate(PaginationConfig={"PageSize": 7}, **arguments)
    ids = [entry["id"] for page in pages for entry in page["items"]]
    assert len(ids) == len(set(ids)) == expected, (operation, len(ids))
pages = api.get_paginator("get_usage").paginate(
    usagePlanId=plan["id"], startDate=today, endDate=today, PaginationConfig={"PageSize": 7})
assert sum(len(page["items"]) for page in pages) == 31

# Tags.
arn = f"arn:aws:apigateway:us-east-1::/apikeys/{first['id']}"
api.tag_resource(resourceArn=arn, tags={"b": "2"})
assert api.get_tags(resourceArn=arn)["tags"] == {"team": "a", "b": "2"}
api.untag_resource(resourceArn=arn, tagKeys=["team", "b"])
assert api.get_tags(resourceArn=arn)["tags"] == {}
plan_arn = f"arn:aws:apigateway:us-east-1::/usageplans/{plan['id']}"
assert api.get_tags(resourceArn=plan_arn)["tags"] == {"a": "b"}

# The end of all.
api.delete_usage_plan_key(usagePlanId=plan["id"], keyId=first["id"])
refused("NotFoundException", api.get_usage_plan_key, usagePlanId=plan["id"], keyId=first["id"])
api.delete_api_key(apiKey=first["id"])
refused("NotFoundException", api.get_api_key, apiKey=first["id"])
message = refused("BadRequestException", api.delete_usage_plan, usagePlanId=plan["id"])
assert message == (f"Cannot delete Usage Plan {plan['id']} because there are API Stages associated with it, "
                   "including api:prod"), message
assert refused("BadRequestException", api.update_usage_plan, usagePlanId=plan["id"], patchOperations=[
    {"op": "remove", "path": "/apiStages"}]) == "Invalid API Stage specified"
assert refused("NotFoundException", api.update_usage_plan, usagePlanId=plan["id"], patchOperations=patch(operations=[
    ("remove", "/apiStages", "no:such")])) == (
        f"Invalid API Stage {{api: no, stage: such}} specified for usageplan {plan['id']}")
api.update_usage_plan(usagePlanId=plan["id"], patchOperations=patch(operations=[
    ("remove", "/apiStages", "api:prod"), ("remove", "/apiStages", "other:dev")]))
api.delete_usage_plan(usagePlanId=plan["id"])
refused("NotFoundException", api.get_usage_plan, usagePlanId=plan["id"])
try:
    api.get_rest_apis()
except ClientError as error:
    assert error.response["Error"]["Code"] == "NotFoundException"
print("done")
