"""The calls that Terraform's aws_api_gateway_api_key, _usage_plan and _usage_plan_key make: create, read without drift,
update in place, destroy. Its provider goes through the same service model.

Its arguments are the URL of a management API with nothing in it, and `kept` or `hashed`: whether that API can show values again.
"""

import sys

import boto3

api = boto3.client("apigateway", endpoint_url=sys.argv[1], region_name="us-east-1",
                   aws_access_key_id="local", aws_secret_access_key="local")


def op(name, path, value=None):
    operation = {"op": name, "path": path}
    if value is not None:
        operation["value"] = value
    return operation


# resource "aws_api_gateway_api_key"
key = api.create_api_key(name="key", description="Managed by Terraform", enabled=True, customerId="c", tags={"k": "v"})
read = api.get_api_key(apiKey=key["id"], includeValue=True)
state = {name: read[name] for name in ("name", "description", "enabled", "customerId", "tags")}
assert state == {"name": "key", "description": "Managed by Terraform", "enabled": True, "customerId": "c",
                 "tags": {"k": "v"}}
assert read["createdDate"] and read["lastUpdatedDate"]
api.update_api_key(apiKey=key["id"], patchOperations=[
    op("replace", "/name", "key2"), op("replace", "/description", "other"), op("replace", "/enabled", "false"),
    op("replace", "/customerId", "c2")])
arn = f"arn:aws:apigateway:us-east-1::/apikeys/{key['id']}"
api.untag_resource(resourceArn=arn, tagKeys=["k"])
api.tag_resource(resourceArn=arn, tags={"k2": "v2"})
read = api.get_api_key(apiKey=key["id"], includeValue=True)
assert (read["name"], read["enabled"], read["tags"]) == ("key2", False, {"k2": "v2"})

# What `terraform apply` does with a key, again and again. The provider reads a key after it has made it, and before each plan.
# A `value` that differs from the configured one cannot be changed in place.
def refreshed(key_id):
    """The state: attributes that are missing in an answer are empty."""
    answer = api.get_api_key(apiKey=key_id, includeValue=True)
    return {name: answer.get(name, "") for name in ("id", "name", "description", "enabled", "value")}


def planned(configured, state):
    drift = {name for name in configured if state[name] != configured[name]}
    return "replace" if "value" in drift else "update" if drift else "nothing"


def applied(configured, state=None):
    if state:
        state = refreshed(state["id"])
        if planned(configured, state) == "nothing":
            return state
        assert planned(configured, state) == "replace"
        api.delete_api_key(apiKey=state["id"])
    return refreshed(api.create_api_key(**configured)["id"])


def is_there(key_id):
    try:
        return bool(api.get_api_key(apiKey=key_id))
    except api.exceptions.NotFoundException:
        return False


configured = {"name": "own", "description": "Managed by Terraform", "enabled": True, "value": "a-value-of-the-configuration"}
generated = {name: configured[name] for name in ("name", "description", "enabled")}
own, made = applied(configured), applied(generated)
again = [applied(configured, own), applied(generated, made)]
assert again[1] == made
if sys.argv[2] == "kept":
    # No drift, and the value of a key without a configured one is in the state, for outputs.
    assert again[0] == own and own["value"] == configured["value"] and made["value"].startswith("tg_")
else:
    # As the documentation says: each apply replaces a key with a configured value, and nobody sees a generated value.
    assert own["value"] == made["value"] == ""
    assert again[0]["id"] != own["id"] and not is_there(own["id"])
    third = applied(configured, again[0])
    assert third["id"] != again[0]["id"] and not is_there(again[0]["id"])
    again[0] = third
for state in again:
    api.delete_api_key(apiKey=state["id"])

# resource "aws_api_gateway_usage_plan"
plan = api.create_usage_plan(
    name="plan", description="d", apiStages=[{"apiId": "a", "stage": "s", "throttle": {
        "/path/GET": {"rateLimit": 4.0, "burstLimit": 3}}}],
    quota={"limit": 20, "offset": 2, "period": "WEEK"}, throttle={"burstLimit": 5, "rateLimit": 10.0})
api.update_usage_plan(usagePlanId=plan["id"], patchOperations=[op("add", "/productCode", "MYCODE")])
read = api.get_usage_plan(usagePlanId=plan["id"])
assert read["apiStages"] == [{"apiId": "a", "stage": "s", "throttle": {"/path/GET": {"rateLimit": 4.0, "burstLimit": 3}}}]
assert read["quota"] == {"limit": 20, "offset": 2, "period": "WEEK"}
assert read["throttle"] == {"burstLimit": 5, "rateLimit": 10.0} and read["productCode"] == "MYCODE"
# An update in place: stages are taken off and put on again, each with its throttles; the rest is replaced.
changed = api.update_usage_plan(usagePlanId=plan["id"], patchOperations=[
    op("replace", "/name", "plan2"), op("replace", "/description", ""), op("replace", "/productCode", ""),
    op("remove", "/apiStages", "a:s"),
    op("add", "/apiStages", "a:s"),
    op("replace", "/apiStages/a:s/throttle//path/GET/rateLimit", "8"),
    op("replace", "/apiStages/a:s/throttle//path/GET/burstLimit", "6"),
    op("add", "/apiStages", "b:s"),
    op("replace", "/throttle/rateLimit", "20"), op("replace", "/throttle/burstLimit", "15"),
    op("replace", "/quota/limit", "40"), op("replace", "/quota/offset", "0"), op("replace", "/quota/period", "MONTH")])
read = api.get_usage_plan(usagePlanId=plan["id"])
assert read["apiStages"][0]["throttle"] == {"/path/GET": {"rateLimit": 8.0, "burstLimit": 6}}
assert [stage["apiId"] for stage in read["apiStages"]] == ["a", "b"]
assert read["quota"] == {"limit": 40, "offset": 0, "period": "MONTH"}
api.update_usage_plan(usagePlanId=plan["id"], patchOperations=[op("remove", "/throttle"), op("remove", "/quota")])
read = api.get_usage_plan(usagePlanId=plan["id"])
assert "throttle" not in read and "quota" not in read
# Blocks that come back: replace creates what is not there.
api.update_usage_plan(usagePlanId=plan["id"], patchOperations=[
    op("add", "/throttle/rateLimit", "1"), op("add", "/throttle/burstLimit", "2"),
    op("add", "/quota/limit", "3"), op("add", "/quota/offset", "0"), op("add", "/quota/period", "DAY")])
read = api.get_usage_plan(usagePlanId=plan["id"])
assert read["throttle"] == {"burstLimit": 2, "rateLimit": 1.0} and read["quota"]["period"] == "DAY"

# resource "aws_api_gateway_usage_plan_key"
link = api.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
read = api.get_usage_plan_key(usagePlanId=plan["id"], keyId=link["id"])
assert (read["id"], read["type"], read["name"]) == (key["id"], "API_KEY", "key2")


def everything():
    """All that a plan reads of the three resources."""
    answers = [api.get_api_key(apiKey=key["id"], includeValue=True), api.get_usage_plan(usagePlanId=plan["id"]),
               api.get_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"])]
    for answer in answers:
        del answer["ResponseMetadata"]
    return answers


# The second plan finds what the first apply has left, and so does the third.
assert everything() == everything()
assert everything()[0].get("value", "") == (key["value"] if sys.argv[2] == "kept" else "")

# terraform destroy
api.delete_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"])
stages = [op("remove", "/apiStages", f"{stage['apiId']}:{stage['stage']}")
          for stage in api.get_usage_plan(usagePlanId=plan["id"])["apiStages"]]
api.update_usage_plan(usagePlanId=plan["id"], patchOperations=stages)
api.delete_usage_plan(usagePlanId=plan["id"])
api.delete_api_key(apiKey=key["id"])
for call, arguments in [(api.get_usage_plan, {"usagePlanId": plan["id"]}), (api.get_api_key, {"apiKey": key["id"]})]:
    try:
        call(**arguments)
    except api.exceptions.NotFoundException:
        continue
    raise AssertionError("it is still there")
print("done")
